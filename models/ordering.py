"""Ranks and cuts of many short rows: keys of whole numbers, sorted at once, and loops over what comes out."""

from __future__ import annotations

import numpy as np

from conf.vocabulary import NO_GENRE
from models.blend import RANK_OFFSET
from models.compiling import compiled
from models.types import Bools, Bytes, Floats, Ints, Longs

PLACE_BITS, ITEM_BITS = 18, 24
WIDEST = 1 << PLACE_BITS
"""Candidates in a row, at most. Items have three bytes in a stored row."""


def rank_terms(scores: Floats, missing: Bools) -> Floats:
    """(B, C) -log(RANK_OFFSET + how many candidates have a higher score); those of equal score share a rank."""
    bits = np.where(missing, np.float32(-np.inf), scores + np.float32(0)).view(np.int32)  # + 0: -0.0 is 0.0
    rising = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    keys = np.sort((-rising << PLACE_BITS) | np.arange(scores.shape[1], dtype=np.int64), axis=1)
    terms = -np.log(RANK_OFFSET + np.arange(scores.shape[1], dtype=np.float32))
    found = np.empty(scores.shape, np.float32)
    _spread(keys, terms, found)
    return found


@compiled
def _spread(keys: Longs, terms: Floats, into: Floats) -> None:
    """To each place of a row the term of its rank, which equal keys share."""
    for row in range(len(keys)):
        rank = 0
        for place in range(keys.shape[1]):
            if keys[row, place] >> PLACE_BITS != keys[row, rank] >> PLACE_BITS:
                rank = place
            into[row, keys[row, place] & (WIDEST - 1)] = terms[rank]


def order_keys(logit_q: Ints, item_no: Ints) -> Longs:
    """Keys that sort by logit, highest first, then item_no, and hold the place (…, C); missing ones (-1) come last."""
    place = np.arange(item_no.shape[-1], dtype=np.int64)
    keys = (-logit_q.astype(np.int64) << (ITEM_BITS + PLACE_BITS)) + (item_no.astype(np.int64) << PLACE_BITS) + place
    return np.where(item_no < 0, np.iinfo(np.int64).max - WIDEST + 1 + place, keys)


def cut(keys: Longs, genre: Bytes, size: int, most: int) -> Longs:
    """(B, size) places of the first keys (B, C) of each row, in order, no genre (B, C) above `most` of them while
    others last."""
    found = np.empty((len(keys), size), np.int64)
    _cut(np.sort(keys, axis=1), genre, most, found)
    return found


@compiled
def _cut(keys: Longs, genre: Bytes, most: int, into: Longs) -> None:
    width, size = keys.shape[1], into.shape[1]
    there = np.iinfo(np.int64).max - WIDEST
    for row in range(len(keys)):
        counts, taken, chosen = np.zeros(256, np.int64), np.zeros(width, np.bool_), 0
        for turn in range(3):  # those within the share, those above it, those missing
            for place in range(width):
                if chosen == size:
                    break
                if taken[place]:
                    continue
                key = keys[row, place]
                own = genre[row, key & (WIDEST - 1)]
                missing = key > there
                if turn < 2 and missing:
                    break
                if turn == 0:
                    counts[own] += 1
                    if own != NO_GENRE and counts[own] > most:
                        continue
                taken[place] = True
                chosen += 1
        chosen = 0
        for place in range(width):
            if taken[place]:
                into[row, chosen] = keys[row, place] & (WIDEST - 1)
                chosen += 1
