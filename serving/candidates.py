"""The tiers a page is filled from: the user's own list first, then ever wider lists of the artefact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from conf.rules import SessionRules
from conf.vocabulary import LABELS, NO_ANCHOR, Source
from models.rerank import OPEN, bars_of, fit_line
from serving.session import Gains, Recent, genre_gains, nearest, session_vector, similar_gains
from serving.visit import Visit
from stores.artefact import Artefact
from stores.records import list_logits, unpack_vector

PERSONALIZED, CACHED, SESSION, SEGMENT, POPULAR, SIMILAR, SEARCH = (
    "personalized",
    "cached",
    "session",
    "segment",
    "popular",
    "similar",
    "search",
)
REASONS = (*LABELS, "segment", "alike", "risen", "session", "found", "explored", "promoted")
"""Wordings of conf/rules.yaml. The first six are the sources of a stored list."""
OF_SEGMENT, ALIKE, RISEN, OF_SESSION, FOUND, EXPLORED, PROMOTED = range(len(LABELS), len(REASONS))
FEWEST_POINTS, MOST_POINTS = 8, 32
"""Items of a list that a line is fitted to: fewer say little, and more cost a look into memory each."""
PART, MOST_PARTS = 1000, 100
"""Items of the catalogue that are read at a time; of so large a catalogue that it had more parts, a part is larger."""
_NEW = int(Source.NEW)
_NO_ITEM, _NO_PRODUCT, _NO_ENTRY = np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.intp)
_WIDER = (("global", Source.POPULAR), ("trending", Source.TRENDING), ("new", Source.NEW))


@dataclass(frozen=True, eq=False)
class Candidates:
    """Items of one tier, best first, not filtered yet. All arrays are (n,)."""

    tier: str
    item_no: NDArray[np.int32]
    reason: NDArray[np.uint8]
    """Index into REASONS."""
    score: NDArray[np.float32] | None = None
    """None: the tier has an order and no scores."""
    anchor: NDArray[np.uint8] | None = None
    """As in a stored list; for RISEN the index of a recent item; None: there are none."""


class Scored(NamedTuple):
    """The parts that an item's log-odds are the sum of, for the own tier, in no order. All arrays are (n,)."""

    item_no: NDArray[np.int32]
    reason: NDArray[np.uint8]
    anchor: NDArray[np.uint8]
    base: NDArray[np.float32]
    """Of the stored list; for items that it lacks, estimated from the user's vector."""
    context: NDArray[np.float32]
    """c(context)·v(i)."""
    freshness: NDArray[np.float32]
    similar: NDArray[np.float32] | None
    """Gained by similarity to recent items; None: nothing was."""
    genre: NDArray[np.float32] | None
    """Gained by watched genres; likewise."""

    def log_odds(self) -> NDArray[np.float32]:
        total = self.base + self.context
        total += self.freshness
        for gain in (self.similar, self.genre):
            if gain is not None:
                total += gain
        return total


def home_tiers(visit: Visit) -> Iterator[Candidates]:
    """The tiers of the home page. The baseline group has those alone that are the same for everybody like them."""
    if visit.personalized:
        yield from own_tier(visit)
    yield from fallbacks(visit.snapshot.artefact, visit.known.viewer.segment)


def own_tier(visit: Visit) -> Iterator[Candidates]:
    """The user's list, or else what their session leads to; nothing where there is neither."""
    if visit.known.body is not None and len(visit.known.body.item_no):
        yield personal(visit)
    else:
        yield from by_session(visit)


def personal(visit: Visit) -> Candidates:
    """The stored list, with new items and what a session raised, by log-odds; the score is its probability."""
    scored = score(visit)
    log_odds = scored.log_odds()
    order = np.argsort(-log_odds, kind="stable")
    chance = (1 / (1 + np.exp(-log_odds[order]))).astype(np.float32)
    tier = PERSONALIZED if visit.known.age_seconds is None else CACHED
    return Candidates(tier, scored.item_no[order], scored.reason[order], chance, scored.anchor[order])


def score(visit: Visit) -> Scored:
    """The candidates of the user's own tier: their list, and items that it lacks.

    Of what a list lacks, only items that are newer than it may enter: anything else the batch may have left out because
    the user watched it long ago, which nobody here can know. They are estimated by `estimate` and get the same
    additions as the list's own items, so that the order compares like with like.
    """
    body, artefact = visit.known.body, visit.snapshot.artefact
    assert body is not None
    # Items newer than this artefact get the numbers of its last one: the filter drops them.
    own = np.minimum(body.item_no, len(artefact) - 1)
    vector = unpack_vector(body.vector)[: artefact.vectors.shape[1]]
    base, numbers, reason, anchor = list_logits(body.score), body.item_no, body.source, body.anchor
    lacking, product = _new_items(visit, own, vector)
    added, led_by = all_of(lacking, _NEW), all_of(lacking, NO_ANCHOR)
    gains = risen = genre = None
    if visit.recent is not None:
        gains = similar_gains(
            visit.recent, artefact.similar, artefact.similar_score, visit.rules.session.similar_weight
        )
    if gains is not None:
        gain, taken = gains.of(np.concatenate([own, lacking]))
        entries = _risen(visit, taken, gains)
        risen = np.concatenate([gain, gains.gain[entries]])
        entering = gains.item_no[entries]
        product = np.concatenate([product, artefact.vectors[entering] @ vector])
        lacking = np.concatenate([lacking, entering])
        added = np.concatenate([added, all_of(entering, RISEN)])
        led_by = np.concatenate([led_by, gains.led_by[entries]])
    slot = own
    if len(lacking):
        some = slice(None, None, -(-len(own) // MOST_POINTS))
        base = np.concatenate([base, estimate(artefact.vectors[own[some]] @ vector, base[some], product)])
        slot, numbers = np.concatenate([own, lacking]), np.concatenate([numbers, lacking])
        reason, anchor = np.concatenate([reason, added]), np.concatenate([anchor, led_by])
    if visit.recent is not None:
        genre = genre_gains(visit.recent, artefact.genres, slot, visit.rules.session.genre_step)
    return Scored(
        item_no=numbers,
        reason=reason,
        anchor=anchor,
        base=base,
        context=visit.context_term(slot),
        freshness=visit.catalogue.is_new(slot) * np.float32(visit.rules.new_items.freshness),
        similar=risen,
        genre=genre,
    )


def estimate(own: NDArray[np.float32], base: NDArray[np.float32], product: NDArray[np.float32]) -> NDArray[np.float32]:
    """The log-odds that items which a list lacks would have on it.

    The list's own items have both numbers: their inner product with the user's vector and the log-odds that the ranker
    gave them. A robust line through them (`fit_line`) maps the one to the other, for this user, without a constant to
    tune; a rising line, because the retrieval model means a higher product to be better. What it can and cannot say:

    - Products beyond those of the list are taken as the nearest of them: outside, the line has no evidence.
    - The line is fitted to items that the ranker chose, so for an item that the ranker saw and left out it is too
      high. That is why only a few of the best may enter (`entrants` of the rules) and why the estimate is the mean
      of the user's list, its middle, where the product says nothing about the order.
    - A list of fewer than eight items fits no line: what it lacks comes in level with its last item.

    Args:
        own, base: (n,) products and log-odds of items of the list, from its top to its end, n ≥ 1.
        product: (k,) of the items it lacks.

    Returns:
        (k,) log-odds.
    """
    if len(own) < FEWEST_POINTS:
        return np.full(len(product), base.min(), np.float32)
    slope, intercept = fit_line(own, base)
    inside = np.maximum(np.minimum(product, own.max()), own.min())
    return np.asarray(np.float32(slope) * inside + np.float32(intercept), np.float32)


def _new_items(
    visit: Visit, own: NDArray[np.int32], vector: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Items of the new-item shelf that may be shown and the list lacks, with their products: the highest few."""
    catalogue, most = visit.catalogue, visit.rules.new_items.entrants
    if not len(catalogue.new) or catalogue.new[-1] < visit.newcomers_from:
        return _NO_ITEM, _NO_PRODUCT
    lacking = visit.bars.new.copy()
    lacking[: int(np.searchsorted(catalogue.new, visit.newcomers_from))] = False
    lacking[catalogue.place_in_new[own]] = False
    places = np.flatnonzero(lacking)
    product = (catalogue.new_vectors @ vector)[places]
    if len(places) > most:
        best = np.argpartition(-product, most)[:most]
        places, product = places[best], product[best]
    return catalogue.new[places], product


def _risen(visit: Visit, taken: NDArray[np.intp], gains: Gains) -> NDArray[np.intp]:
    """The entries of newcomers that the session raised enough to enter, but for those `taken`: the highest few."""
    rules = visit.rules.session
    if visit.newcomers_from >= len(visit.snapshot.artefact):
        return _NO_ENTRY
    enters = (
        (gains.item_no >= visit.newcomers_from)
        & (gains.gain >= rules.enter_above)
        & (bars_of(visit.bars.bars, gains.item_no) == OPEN)
    )
    enters[taken] = False
    entries = np.flatnonzero(enters)
    if len(entries) > rules.entrants:
        entries = entries[np.argsort(-gains.gain[entries], kind="stable")[: rules.entrants]]
    return entries


def by_session(visit: Visit) -> Iterator[Candidates]:
    """For a user without a list: what is nearest to their recent items, and to what is popular among those like them.

    By the vectors' order alone. A unit vector's products are no log-odds, so neither the context term nor a chance
    can be added to them.
    """
    if visit.recent is None:
        return
    shut = ~visit.open(np.zeros(0, np.int32))
    artefact, segment = visit.snapshot.artefact, visit.known.viewer.segment
    numbers = near_session(artefact, visit.catalogue.scale, visit.recent, segment, shut, visit.rules.session)
    if numbers is not None:
        yield Candidates(SESSION, numbers, all_of(numbers, OF_SESSION))


def near_session(
    artefact: Artefact,
    scale: NDArray[np.float32],
    recent: Recent,
    segment: str | None,
    shut: NDArray[np.bool_],
    rules: SessionRules,
) -> NDArray[np.int32] | None:
    """Items, best first, for a user of the segment of whom the recent items are all that is known.

    Args:
        scale: (n,) from `scale_of`.
        shut: (n,) items left out.

    Returns:
        None where nothing can be told from the recent items.
    """
    popular = artefact.popular.get(f"segment:{segment}", artefact.popular["global"])
    vector = session_vector(recent, artefact.vectors, popular, rules.popularity)
    return None if vector is None else nearest(artefact.vectors, vector, scale, shut, rules.candidates)


def similar(artefact: Artefact, item_no: int) -> Candidates:
    """The items most similar to one, scored by their similarity."""
    numbers = artefact.similar[item_no]
    return Candidates(SIMILAR, numbers, all_of(numbers, ALIKE), artefact.similar_score[item_no])


def of_genre(artefact: Artefact, genre: int) -> Iterator[Candidates]:
    """The popular items of a genre; nothing for items without one."""
    if genre < len(artefact.genre_names):
        yield from of_scope(artefact, f"genre:{artefact.genre_names[genre]}", Source.POPULAR)


def of_scope(artefact: Artefact, scope: str, reason: int) -> Iterator[Candidates]:
    """A list of the artefact; nothing where it has none of that name."""
    numbers = artefact.popular.get(scope)
    if numbers is not None:
        yield Candidates(SEGMENT if reason == OF_SEGMENT else POPULAR, numbers, all_of(numbers, reason))


def fallbacks(artefact: Artefact, segment: str | None) -> Iterator[Candidates]:
    """Lists for anybody, wider and wider. The last is the whole catalogue: no page is empty that could be filled.

    It comes in parts, so that the diversity rules choose among a thousand items and not among all: where most are of
    one genre, those wait, and each place would look at every one of them.
    """
    if segment is not None:
        yield from of_scope(artefact, f"segment:{segment}", OF_SEGMENT)
    for scope, source in _WIDER:
        yield from of_scope(artefact, scope, source)
    part = max(PART, -(-len(artefact) // MOST_PARTS))
    for start in range(0, len(artefact), part):
        numbers = np.arange(start, min(start + part, len(artefact)), dtype=np.int32)
        yield Candidates(POPULAR, numbers, all_of(numbers, Source.POPULAR))


def all_of(numbers: NDArray[np.int32], reason: int) -> NDArray[np.uint8]:
    """(n,) the same reason for all items."""
    return np.full(len(numbers), reason, dtype=np.uint8)
