"""Which items the same users watched: baskets, and for each item the others that its watchers watched most."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from models.batches import ExampleSource, positives
from models.types import Floats, Ints, Longs

MAX_BASKET = 1000
"""Items of one user, at most, the first that the (shuffled) examples show: pairs grow with the square."""


@dataclass(frozen=True)
class Baskets:
    """What each of U users watched: offsets (U+1,) into the flat item_no, none twice for a user."""

    offsets: Longs
    items: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def of(cls, users: Longs, items: Ints) -> Baskets:
        """From (m,) user numbers below U and their items, in any order, repeats and all."""
        top = int(items.max(initial=0)) + 1
        keys, first = np.unique(users * top + items, return_index=True)
        users, place = keys // top, np.empty(len(keys), np.int64)
        order = np.lexsort((first, users))
        counts = np.bincount(users)
        place[order] = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = place < MAX_BASKET
        offsets = np.concatenate([[0], np.cumsum(np.bincount(users[kept]))]).astype(np.int64)
        return cls(offsets, (keys[kept] % top).astype(np.int32))


def read_baskets(source: ExampleSource, splits: Collection[str], watches: int, limit: int) -> Baskets:
    """The positives of `splits`, each user and item once; of more than `limit` of them the baskets of a share of users.

    watches: positives in all. Which users are in depends on their id alone.
    """
    share = min(1.0, limit / max(watches, 1)) * 2**32
    number: dict[str, int] = {}
    users, items = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    for batch in source.batches(splits):
        liked = positives(batch)
        coded = pc.dictionary_encode(liked.column("user_id"))
        own = [
            number.setdefault(name, len(number)) if zlib.crc32(name.encode()) < share else -1
            for name in coded.dictionary.to_pylist()
        ]
        user = np.array(own, np.int64)[coded.indices.to_numpy()]
        users.append(user[user >= 0])
        items.append(liked.column("item_no").to_numpy()[user >= 0].astype(np.int32))
    return Baskets.of(np.concatenate(users), np.concatenate(items))


class CoCounts:
    """For m items, numbered by their place in `known` (item_no, ascending): how many users watched two of them."""

    def __init__(self, baskets: Baskets, known: Ints, n: int) -> None:
        place = np.full(n, -1, np.int32)
        place[known] = np.arange(len(known), dtype=np.int32)
        own = place[baskets.items]
        owner = np.repeat(np.arange(len(baskets)), np.diff(baskets.offsets))[own >= 0]
        self.known, self.own = known, own[own >= 0]
        self.offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(baskets)))]).astype(np.int64)
        order = np.argsort(self.own, kind="stable")
        self.owner = owner[order]
        self.watchers = np.bincount(self.own, minlength=len(known)).astype(np.float32)
        self.starts = np.concatenate([[0], np.cumsum(self.watchers)]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.known)

    def row(self, item: int) -> Floats:
        """(m,) how many watchers of `item` watched each item; its own watchers at its place."""
        users = self.owner[self.starts[item] : self.starts[item + 1]]
        lengths = self.offsets[users + 1] - self.offsets[users]
        ends = np.cumsum(lengths)
        places = np.arange(int(lengths.sum())) + np.repeat(self.offsets[users] - ends + lengths, lengths)
        return np.bincount(self.own[places], minlength=len(self)).astype(np.float32)

    def dense(self) -> Floats:
        """(m, m) all rows."""
        return np.stack([self.row(item) for item in range(len(self))]) if len(self) else np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class CoWatched:
    """Of n items: watchers (n,); items (n, S) the most co-watched by cosine, -1 padded; together (n, S) common ones."""

    watchers: Floats
    items: Ints
    together: Floats


def co_watched(counts: CoCounts, n: int, width: int) -> CoWatched:
    """The `width` items whose watchers are most those of each item, by the cosine of their columns."""
    items, together = np.full((n, width), -1, np.int32), np.zeros((n, width), np.float32)
    watchers = np.zeros(n, np.float32)
    watchers[counts.known] = counts.watchers
    root = np.sqrt(counts.watchers)
    for number, item_no in enumerate(counts.known):
        row = counts.row(number)
        row[number] = 0
        best = strongest((row / root).astype(np.float32), width)
        best = best[row[best] > 0]
        items[item_no, : len(best)], together[item_no, : len(best)] = counts.known[best], row[best]
    return CoWatched(watchers, items, together)


def strongest(values: Floats, width: int) -> Longs:
    """Places of the `width` highest of (m,) values, highest first, equal ones by place."""
    if width < len(values):
        cut = np.partition(values, len(values) - width)[-width]
        places = np.flatnonzero(values >= cut)
    else:
        places = np.arange(len(values))
    return places[np.argsort(-values[places], kind="stable")][:width]
