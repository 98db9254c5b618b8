"""The tiers a page is filled from: the user's own list first, then ever wider lists of the artefact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from conf.vocabulary import LABELS, Source
from serving.follower import Snapshot
from stores.artefact import Artefact
from stores.records import ListBody, logit_of

PERSONALIZED, CACHED, SEGMENT, POPULAR, SIMILAR = "personalized", "cached", "segment", "popular", "similar"
REASONS = (*LABELS, "segment", "alike")
"""Wordings of conf/rules.yaml. The first six are the sources of a stored list."""
_SEGMENT_REASON, _ALIKE_REASON = len(LABELS), len(LABELS) + 1
_WIDER = (("global", Source.POPULAR), ("trending", Source.TRENDING), ("new", Source.NEW))
_HOURS_A_DAYPART = 6


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
    """As in a stored list; None: there are none."""


def personal(snapshot: Snapshot, body: ListBody, page: str, now: float, cached: bool = False) -> Candidates:
    """The stored list in the order of logit + c(context)·v(i); the score is its probability.

    cached: it was remembered, because the store did not answer.
    """
    moment = datetime.fromtimestamp(now, UTC)
    term = snapshot.context_term(page, moment.hour // _HOURS_A_DAYPART, moment.weekday())
    # Items newer than this artefact get any term: the filter drops them.
    logit = logit_of(body.score) + term[np.minimum(body.item_no, len(term) - 1)]
    order = np.argsort(-logit, kind="stable")
    score = (1 / (1 + np.exp(-logit[order]))).astype(np.float32)
    return Candidates(
        CACHED if cached else PERSONALIZED, body.item_no[order], body.source[order], score, body.anchor[order]
    )


def similar(artefact: Artefact, item_no: int) -> Candidates:
    """The items most similar to one, scored by their similarity."""
    numbers = artefact.similar[item_no]
    return Candidates(SIMILAR, numbers, _all(numbers, _ALIKE_REASON), artefact.similar_score[item_no])


def of_genre(artefact: Artefact, genre: int) -> Iterator[Candidates]:
    """The popular items of a genre; nothing for items without one."""
    if genre < len(artefact.genre_names):
        numbers = artefact.popular.get(f"genre:{artefact.genre_names[genre]}")
        if numbers is not None:
            yield Candidates(POPULAR, numbers, _all(numbers, Source.POPULAR))


def fallbacks(artefact: Artefact, segment: str | None) -> Iterator[Candidates]:
    """Lists for anybody, wider and wider. The last is the whole catalogue: no page is empty that could be filled."""
    numbers = artefact.popular.get(f"segment:{segment}")
    if segment is not None and numbers is not None:
        yield Candidates(SEGMENT, numbers, _all(numbers, _SEGMENT_REASON))
    for scope, source in _WIDER:
        numbers = artefact.popular.get(scope)
        if numbers is not None:
            yield Candidates(POPULAR, numbers, _all(numbers, source))
    numbers = np.arange(len(artefact), dtype=np.int32)
    yield Candidates(POPULAR, numbers, _all(numbers, Source.POPULAR))


def _all(numbers: NDArray[np.int32], reason: int) -> NDArray[np.uint8]:
    return np.full(len(numbers), reason, dtype=np.uint8)
