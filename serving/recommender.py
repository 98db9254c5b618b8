"""From what is known of a user to a page of items: tiers, filters, diversity, reasons.

Used by the HTTP service and by `topshelf recs` alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from conf.rules import Rules
from conf.vocabulary import NO_ANCHOR, Source
from models.rerank import allowed, diversify
from serving.candidates import REASONS, Candidates, fallbacks, of_genre, personal, similar
from serving.follower import Snapshot
from serving.lookup import STRANGER, Known, Lookup, Outcome, Viewer
from serving.metrics import Metrics
from stores.artefact import Artefact
from stores.records import ListBody

HOME = "home"


@dataclass(frozen=True)
class Page:
    """An answer before it becomes JSON."""

    item_no: list[int]
    score: list[float]
    reason: list[str]
    source: str
    """The first tier that gave the page an item."""
    outcome: Outcome
    """Of the look-up of the user's list."""
    snapshot: Snapshot
    age_seconds: float | None = None
    """Of a list that was remembered because the store did not answer; None for any other."""


class Recommender:
    """Makes pages. Thread-safe.

    clock: epoch seconds; it decides about licences and the context term.
    """

    def __init__(self, lookup: Lookup, rules: Rules, clock: Callable[[], float], metrics: Metrics) -> None:
        self._lookup = lookup
        self._rules = rules
        self._clock = clock
        self._metrics = metrics

    def home(self, snapshot: Snapshot, user_id: str, limit: int) -> Page:
        """The user's home page: their own list, filled up from their segment's and the popular items."""
        known = self._lookup.know(user_id, snapshot)
        now = self._clock()
        own = () if known.body is None else (personal(snapshot, known.body, HOME, now, known.age_seconds is not None),)
        tiers = chain(own, fallbacks(snapshot.artefact, known.viewer.segment))
        pool = _fill(tiers, snapshot, known.viewer, now=now, limit=limit, exclude=known.viewer.hidden)
        diversity = self._rules.diversity
        genres = snapshot.artefact.primary_genre[pool.item_no]
        chosen = diversify(genres, limit, diversity.max_per_primary_genre, diversity.window)
        return self._page(snapshot, known, pool.take(chosen), limit, None)

    def alike(self, snapshot: Snapshot, item_no: int, user_id: str | None, limit: int, fill_up: bool) -> Page:
        """Items similar to one, most similar first. The genre limit does not hold: they are meant to be alike.

        user_id: whose profile and session filter them; None: an unknown viewer, so the strictest profile.
        fill_up: add popular items, of its genre first, where the similar ones do not fill the page.
        """
        artefact = snapshot.artefact
        known = STRANGER
        if user_id is not None:
            known = self._lookup.know(user_id, snapshot)
        tiers: Iterable[Candidates] = (similar(artefact, item_no),)
        if fill_up:
            genre = int(artefact.primary_genre[item_no])
            tiers = chain(tiers, of_genre(artefact, genre), fallbacks(artefact, known.viewer.segment))
        hidden = (*known.viewer.hidden, item_no)
        pool = _fill(tiers, snapshot, known.viewer, now=self._clock(), limit=limit, exclude=hidden)
        return self._page(snapshot, known, pool.take(list(range(min(limit, len(pool.item_no))))), limit, item_no)

    def _page(self, snapshot: Snapshot, known: Known, pool: Pool, limit: int, around: int | None) -> Page:
        if len(pool.item_no) < limit:
            self._metrics.short_pages.inc()
        self._metrics.pages.labels(pool.source).inc()
        texts = self._rules.reasons.text
        reasons = zip(pool.reason.tolist(), pool.anchor.tolist(), strict=True)
        anchor = _Anchors(snapshot.artefact, known, around)
        return Page(
            item_no=pool.item_no.tolist(),
            score=pool.score.tolist(),
            reason=[texts(REASONS[reason], anchor.name(reason, number)) for reason, number in reasons],
            source=pool.source,
            outcome=known.outcome,
            snapshot=snapshot,
            age_seconds=known.age_seconds,
        )


@dataclass(frozen=True, eq=False)
class Pool:
    """Items that may be shown, in order. All arrays are (n,)."""

    source: str
    item_no: NDArray[np.int32]
    score: NDArray[np.float32]
    reason: NDArray[np.uint8]
    anchor: NDArray[np.uint8]

    def take(self, chosen: list[int]) -> Pool:
        return Pool(self.source, self.item_no[chosen], self.score[chosen], self.reason[chosen], self.anchor[chosen])


def _fill(
    tiers: Iterable[Candidates], snapshot: Snapshot, viewer: Viewer, *, now: float, limit: int, exclude: tuple[int, ...]
) -> Pool:
    """What may be shown of one tier after the other, until there is a page of it.

    A tier without scores is scored by rank, from the lowest score before it (1 at first) evenly down to 0.
    """
    artefact = snapshot.artefact
    source, parts, count, ceiling = "", list[Pool](), 0, 1.0
    for tier in tiers:
        mask = allowed(
            tier.item_no,
            active=snapshot.active,
            maturity=artefact.maturity,
            licensed=artefact.licensed,
            available_from=artefact.available_from,
            available_until=artefact.available_until,
            now=now,
            maturity_limit=viewer.maturity_limit,
            region_bit=viewer.region_bit,
            exclude=np.concatenate([np.asarray(exclude, dtype=np.int32), *(part.item_no for part in parts)]),
        )
        kept = np.flatnonzero(mask)
        source = source if count else tier.tier
        if len(kept):
            score = _ranked(len(kept), ceiling) if tier.score is None else tier.score[kept]
            anchor = np.full(len(kept), NO_ANCHOR, np.uint8) if tier.anchor is None else tier.anchor[kept]
            parts.append(Pool(tier.tier, tier.item_no[kept], score, tier.reason[kept], anchor))
            count, ceiling = count + len(kept), float(score.min())
        if count >= limit:
            break
    if len(parts) == 1:
        return parts[0]
    return Pool(
        source,
        np.concatenate([np.zeros(0, np.int32), *(part.item_no for part in parts)]),
        np.concatenate([np.zeros(0, np.float32), *(part.score for part in parts)]),
        np.concatenate([np.zeros(0, np.uint8), *(part.reason for part in parts)]),
        np.concatenate([np.zeros(0, np.uint8), *(part.anchor for part in parts)]),
    )


def _ranked(count: int, ceiling: float) -> NDArray[np.float32]:
    return np.asarray(ceiling * np.arange(count, 0, -1) / count, dtype=np.float32)


class _Anchors:
    """Names what led to an item: a title the viewer may see, or a genre."""

    def __init__(self, artefact: Artefact, known: Known, around: int | None) -> None:
        self._artefact = artefact
        self._limit = known.viewer.maturity_limit
        self._body: ListBody | None = known.body
        self._around = around

    def name(self, reason: int, number: int) -> str | None:
        if reason == Source.GENRE:
            names = self._artefact.genre_names
            return names[number] if number < min(len(names), NO_ANCHOR) else None
        if reason == Source.SIMILAR and self._body is not None and number < len(self._body.anchors):
            return self._title(self._body.anchors[number])
        if reason == REASONS.index("alike") and self._around is not None:
            return self._title(self._around)
        return None

    def _title(self, item_no: int) -> str | None:
        artefact = self._artefact
        if item_no >= len(artefact) or artefact.maturity[item_no] > self._limit:
            return None
        return artefact.titles[item_no]
