"""The first stage: up to `total` candidates a user from six sources, each with where it came from.

An item found by several sources keeps the one in which it stands highest, and of equal places the first of ORDER:
so the reason shown is the strongest true one, and reasons vary down a list.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conf.settings import Retrieval
from conf.vocabulary import NO_ANCHOR, Source
from models.types import Bytes, CandidateLists, Floats, Ints

ORDER = (Source.SIMILAR, Source.GENRE, Source.NEW, Source.TRENDING, Source.ANN, Source.POPULAR)
MAX_GENRES = 10
"""Genres of a user that are looked into, the heaviest first."""
NOTHING = np.iinfo(np.int64).max
"""Key of an empty place: it sorts last."""
ANCHOR_BITS, SOURCE_BITS, RANK_BITS, ITEM_BITS = 5, 3, 16, 32
_SOURCE_AT, _RANK_AT, _ITEM_AT = ANCHOR_BITS, ANCHOR_BITS + SOURCE_BITS, ANCHOR_BITS + SOURCE_BITS + RANK_BITS
_BY_PRIORITY = np.array([int(source) for source in ORDER], np.uint8)
_PRIORITY = np.argsort(_BY_PRIORITY).astype(np.int64)
Keys = NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """(B, C) arrays: item_no, -1 at the end of short rows, source and anchor (see ScoredLists)."""

    item_no: Ints
    source: Bytes
    anchor: Bytes


def anchors(history: Ints, count: int) -> Ints:
    """(B, count) the last watches, newest first, -1 where there are fewer."""
    padded = np.pad(history, ((0, 0), (max(count - history.shape[1], 0), 0)), constant_values=-1)
    return padded[:, ::-1][:, :count]


def gather(
    history: Ints,
    nearest: Ints,
    co_watched: tuple[Ints, Ints],
    genre_weights: Floats,
    lists: CandidateLists,
    settings: Retrieval,
) -> Keys:
    """(B, C) keys of all candidates, one an item and best place first; NOTHING where a user has fewer.

    history (B, H) as in UserBatch; nearest (B, K) what the index found; co_watched (B, K) what the item-item model
    found, and how many watches back the one lies that led most to each, -1 for one further back; genre_weights (B, G).
    """
    batch = len(history)
    parts = [
        _keys(nearest, Source.ANN),
        _co_watched(*co_watched),
        _similar(anchors(history, settings.watches), lists.similar[:, : settings.per_watch]),
        _genres(genre_weights, lists.by_genre[:, : settings.per_genre], settings.genre_weight),
        _keys(_for_all(lists.trending[: settings.trending], batch), Source.TRENDING),
        _keys(_for_all(lists.new[: settings.new], batch), Source.NEW),
    ]
    keys = np.sort(np.concatenate(parts, axis=1), axis=1)
    again = np.zeros(keys.shape, bool)
    again[:, 1:] = keys[:, 1:] >> _ITEM_AT == keys[:, :-1] >> _ITEM_AT
    keys[again] = NOTHING
    return by_place(keys)


def by_place(keys: Keys) -> Keys:
    """The keys of each row ordered by place in their source, then priority of the source, then item_no."""
    low = (np.int64(1) << _ITEM_AT) - 1
    turned = ((keys & low) << ITEM_BITS) | (keys >> _ITEM_AT)
    order = np.sort(np.where(keys == NOTHING, NOTHING, turned), axis=1)
    back = ((order & ((np.int64(1) << ITEM_BITS) - 1)) << _ITEM_AT) | (order >> ITEM_BITS)
    return np.where(order == NOTHING, NOTHING, back)


def items_of(keys: Keys) -> Ints:
    """(B, C) item_no, -1 for NOTHING."""
    return np.where(keys == NOTHING, -1, keys >> _ITEM_AT).astype(np.int32)


def unpack(keys: Keys) -> Candidates:
    """What the keys say."""
    source = _BY_PRIORITY[np.minimum(keys >> _SOURCE_AT & (2**SOURCE_BITS - 1), len(ORDER) - 1)]
    return Candidates(items_of(keys), source, (keys & (2**ANCHOR_BITS - 1)).astype(np.uint8))


def keep(keys: Keys, wanted: NDArray[np.bool_], width: int) -> Keys:
    """(B, width) the first wanted keys of each row, in order, NOTHING where there are fewer."""
    kept = np.where(wanted, keys, NOTHING)
    order = np.argsort(kept == NOTHING, axis=1, kind="stable")[:, :width]
    kept = np.take_along_axis(kept, order, 1)
    return np.pad(kept, ((0, 0), (0, width - kept.shape[1])), constant_values=NOTHING)


def compact(items: Ints, width: int) -> Ints:
    """(B, width) the first items of each row that are not -1, in order, -1 where there are fewer."""
    order = np.argsort(items < 0, axis=1, kind="stable")[:, :width]
    kept = np.take_along_axis(items, order, 1)
    return np.pad(kept, ((0, 0), (0, width - kept.shape[1])), constant_values=-1)


def fill(keys: Keys, popular: Ints, eligible: NDArray[np.bool_], least: int) -> Keys:
    """Rows with fewer than `least` candidates get popular items, best first, up to it; keys (B, C) as from keep().

    popular (P,); eligible (B, P): which of them the user may see.
    """
    have = (keys != NOTHING).sum(1)
    if not len(popular) or (have >= least).all():
        return keys
    extra = _keys(_for_all(popular, len(keys)), Source.POPULAR)
    known = np.sort(np.where(keys == NOTHING, -1, keys >> _ITEM_AT), axis=1)
    rows = np.arange(len(keys), dtype=np.int64)[:, None] << ITEM_BITS
    there = np.isin(rows + np.maximum(popular, 0), (rows + np.maximum(known, 0))[known >= 0])
    extra = np.where(eligible & ~there & (popular >= 0), extra, NOTHING)
    extra = keep(extra, extra != NOTHING, extra.shape[1])
    short = np.arange(extra.shape[1]) < np.maximum(least - have, 0)[:, None]
    joined = np.concatenate([keys, np.where(short, extra, NOTHING)], axis=1)
    return keep(joined, joined != NOTHING, keys.shape[1])


def _co_watched(items: Ints, back: Ints) -> Keys:
    """Keys of what the item-item model found: similar to a watch that the list can name, else personal as a whole."""
    return np.where(back >= 0, _keys(items, Source.SIMILAR, np.maximum(back, 0)), _keys(items, Source.ANN))


def _keys(items: Ints, source: Source, anchor: Ints | int = NO_ANCHOR, rank: Ints | None = None) -> Keys:
    place = np.arange(items.shape[1], dtype=np.int64) if rank is None else rank.astype(np.int64)
    place = np.minimum(place, 2**RANK_BITS - 1)
    tail = (place << _RANK_AT) | (_PRIORITY[source] << _SOURCE_AT) | np.asarray(anchor, np.int64)
    return np.where(items < 0, NOTHING, (items.astype(np.int64) << _ITEM_AT) | tail)


def _similar(watched: Ints, similar: Ints) -> Keys:
    """Keys of the items similar to each anchor; an older anchor's come after a newer one's at the same place."""
    batch, count = watched.shape
    known = (watched >= 0) & (watched < len(similar))
    if not len(similar):
        return np.full((batch, 0), NOTHING, np.int64)
    found = np.where(known[..., None], similar[np.where(known, watched, 0)], -1)
    width = similar.shape[1]
    anchor = np.broadcast_to(np.arange(count, dtype=np.int32)[:, None], (count, width)).reshape(-1)
    rank = np.broadcast_to(np.arange(width, dtype=np.int32), (count, width)).reshape(-1)
    return _keys(found.reshape(batch, -1), Source.SIMILAR, anchor, rank)


def _genres(weights: Floats, by_genre: Ints, above: float) -> Keys:
    batch = len(weights)
    count = min(MAX_GENRES, weights.shape[1], len(by_genre))
    if not count:
        return np.full((batch, 0), NOTHING, np.int64)
    heaviest = np.argsort(-weights[:, : len(by_genre)], axis=1, kind="stable")[:, :count].astype(np.int32)
    liked = np.take_along_axis(weights, heaviest, 1) > above
    found = np.where(liked[..., None], by_genre[heaviest], -1)
    width = by_genre.shape[1]
    anchor = np.repeat(np.minimum(heaviest, NO_ANCHOR), width, axis=1)
    rank = np.tile(np.arange(width, dtype=np.int32), count)
    return _keys(found.reshape(batch, -1), Source.GENRE, anchor, rank)


def _for_all(items: Ints, batch: int) -> Ints:
    return np.broadcast_to(items, (batch, len(items)))
