"""What a user did since their list was made, as numbers that move a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from conf.rules import SessionRules
from stores.sessions.base import HIDING_EVENTS, SessionEvent

POSITIVE_EVENTS = frozenset({"click", "watch", "add_to_list"})
"""Events that say that the user likes an item. A session does not know the stars of a rating."""
TELLING_EVENTS = POSITIVE_EVENTS | HIDING_EVENTS
"""Events that a page depends on. The others are kept out of sessions, whose places they would take from these."""
_FIRST = np.zeros(1, np.intp)
_NO_ITEM = np.zeros(0, np.int32)
_NOTHING = 1e-12


class Recent(NamedTuple):
    """The items of the newest positive events, newest first; an item counts once, at its newest event. m ≥ 1."""

    item_no: NDArray[np.int32]
    """(m,)."""
    weight: NDArray[np.float32]
    """(m,) decay^i for the i-th newest, from 0."""
    watched: NDArray[np.bool_]
    """(m,) whether it was watched."""


def recent(
    events: Iterable[SessionEvent], since: float, until: float, items: int, rules: SessionRules
) -> Recent | None:
    """What of a session counts.

    Args:
        events: newest first.
        since, until: epoch seconds; events at or before `since` are in the list already, those after `until` are none
            of this order's. An event counts by the time at which it happened.
        items: of the catalogue; events about later ones are passed over.

    Returns:
        None where nothing counts.
    """
    found: dict[int, bool] = {}
    for event in events:
        if event.timestamp <= since:
            break
        if event.timestamp > until or event.event_type not in POSITIVE_EVENTS or event.item_no >= items:
            continue
        if event.item_no not in found and len(found) == rules.events:
            break
        found[event.item_no] = found.get(event.item_no, False) or event.event_type == "watch"
    if not found:
        return None
    weight = rules.decay ** np.arange(len(found), dtype=np.float32)
    return Recent(np.fromiter(found, np.int32), weight, np.fromiter(found.values(), bool))


class Gains(NamedTuple):
    """What similarity to recent items adds to the log-odds of others. All arrays are (k,)."""

    item_no: NDArray[np.int32]
    """Ascending, each once."""
    gain: NDArray[np.float32]
    led_by: NDArray[np.uint8]
    """Index of the newest recent item that each is similar to."""

    def of(self, item_no: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """(n,) the gain of each item, 0 where it has none; and (m,) the entries of those that have one."""
        place = np.minimum(np.searchsorted(self.item_no, item_no), len(self.item_no) - 1)
        gains = self.item_no[place] == item_no
        return self.gain[place] * gains, place[gains]


def similar_gains(
    recent: Recent, similar: NDArray[np.int32], similarity: NDArray[np.float32], weight: float
) -> Gains | None:
    """Each recent item gives every item of its item-item list weight · decay^i · similarity, and gains add up.

    Args:
        similar, similarity: (n, K) of the artefact; a similarity below 0 gives nothing.

    Returns:
        None where no recent item is similar to any.
    """
    numbers = similar[recent.item_no]
    gain = (np.maximum(similarity[recent.item_no], 0) * (weight * recent.weight)[:, None]).ravel()
    # Item and entry in one number: sorted, equal items lie together with their newest entry first.
    bits = numbers.size.bit_length()
    keys = numbers.ravel().astype(np.int64) << bits
    keys += np.arange(len(keys))
    keys.sort()
    keys = keys[np.searchsorted(keys, 0) :]  # without pads
    if not len(keys):
        return None
    items, entries = keys >> bits, keys & ((1 << bits) - 1)
    starts = np.concatenate([_FIRST, np.flatnonzero(items[1:] != items[:-1]) + 1])
    first = entries[starts]
    return Gains(
        items[starts].astype(np.int32),
        np.add.reduceat(gain[entries], starts),
        (first // numbers.shape[1]).astype(np.uint8),
    )


def genre_gains(
    recent: Recent, genres: NDArray[np.uint64], item_no: NDArray[np.int32], step: float
) -> NDArray[np.float32] | None:
    """(k,) what items gain: `step` for each watch of each of their genres; None where nothing was watched.

    genres: (n,) bits of the artefact.
    """
    watched = recent.item_no[recent.watched]
    if not len(watched):
        return None
    steps: dict[int, float] = {}
    for bits in genres[watched].tolist():
        left = bits
        while left:
            lowest = left & -left
            steps[lowest] = steps.get(lowest, 0.0) + step
            left ^= lowest
    has = (genres[item_no][:, None] & np.fromiter(steps, np.uint64)) != 0
    gain: NDArray[np.float32] = has @ np.fromiter(steps.values(), np.float32)
    return gain


def session_vector(
    recent: Recent, vectors: NDArray[np.float32], popular: NDArray[np.int32] = _NO_ITEM, popularity: float = 0.0
) -> NDArray[np.float32] | None:
    """(dim,) unit vector of a user without a list: the decay^i-weighted mean of their recent items' directions.

    Directions, for an item's length says how popular it is, and one popular item would outweigh all others.

    Args:
        popular: (k,) items whose mean direction joins in, with the weight of `popularity` newest events: a few events
            say less than what everybody likes.

    Returns:
        None where the mean is no direction: the recent items have no vectors, or they cancel out.
    """
    mean = recent.weight @ _directions(vectors[recent.item_no])
    if popularity and len(popular) and mean @ mean > _NOTHING:
        mean = mean + np.float32(popularity) * _directions(_directions(vectors[popular]).sum(0))
    return _directions(mean) if mean @ mean > _NOTHING else None


def _directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(…, dim) at length 1, but for those that are next to nothing."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6), np.float32)


def scale_of(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) what `nearest` multiplies the products of items with: they count by the square root of their length.

    At their full length popular items come first whatever a user did; at none, popularity says nothing. Measured on
    new users (docs/cold.md).
    """
    return np.asarray(1 / np.sqrt(np.maximum(np.linalg.norm(vectors, axis=1), 1e-6)), np.float32)


def nearest(
    vectors: NDArray[np.float32],
    vector: NDArray[np.float32],
    scale: NDArray[np.float32],
    shut: NDArray[np.bool_],
    count: int,
) -> NDArray[np.int32]:
    """The items with the highest inner product times `scale`, best first, among those that are not shut.

    One pass over all vectors: 5 ms for 100,000 × 128 in float32, most of it reading them; no index is kept in a
    process for the few users who have no list.

    Args:
        vectors: (n, dim).
        vector: (dim,).
        scale: (n,) from `scale_of`.
        shut: (n,) items left out.
    """
    slots = np.flatnonzero(~shut).astype(np.int32)
    # Left out here rather than set to -inf: partitioning slows down fivefold over tens of thousands of equal numbers.
    product = (vectors @ vector * scale)[slots]
    count = min(count, len(slots))
    best = np.argpartition(product, len(slots) - count)[len(slots) - count :] if count else np.zeros(0, np.intp)
    return slots[best[np.argsort(-product[best], kind="stable")]]
