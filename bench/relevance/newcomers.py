"""New users: a fifth of all, of whom nothing is learnt, after their first few positives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.relevance.interactions import Interactions
from bench.relevance.splits import Flat, Split, Training, rows_of
from models.types import Longs

COUNTS = (0, 1, 3, 10)
"""Positives after which a new user is measured."""
LEFT = 5
"""Positives that every measured user has beyond the last of these, so that the whole curve is of the same users."""
PARTS = 5
"""One user in so many is new, others in each part; the parts together are all users."""
PARTED_BY = 17


@dataclass(frozen=True)
class Newcomers:
    """training: of the other users (the new ones have none); users (T,): the new; liked: their positives, by time."""

    training: Training
    users: Longs
    liked: Flat

    def after(self, count: int) -> Split:
        """The new users alone: their first `count` positives are known, the later ones are relevant."""
        offsets, items = self.liked
        place = np.arange(len(items)) - np.repeat(offsets[:-1], np.diff(offsets))
        known = place < count
        rows = np.arange(len(self.users), dtype=np.int64)
        later = np.diff(offsets) - count
        return Split(
            Training(rows_from(np.full(len(rows), count)), items[known], place[known], self.training.about),
            rows,
            (rows_from(later), items[~known]),
            np.zeros(len(rows), np.int64),
            np.ones(self.training.n, bool),
        )

    @property
    def split(self) -> Split:
        """For `pipeline.write_training`: what the others did, all of it."""
        until = np.full(self.training.users, self.training.times.max(initial=0))
        return Split(self.training, self.users, self.liked, until, np.ones(self.training.n, bool))


def rows_from(counts: Longs) -> Longs:
    """Offsets of rows of so many values."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def newcomers(data: Interactions, part: int) -> Newcomers:
    """The users of one part as new ones, as far as they have enough positives to be measured."""
    count = len(data.user_ids)
    new = np.random.default_rng(PARTED_BY).permutation(count) % PARTS == part % PARTS
    totals = np.bincount(data.user, minlength=count)
    users = np.flatnonzero(new & (totals >= COUNTS[-1] + LEFT))
    old = ~new[data.user]
    own = rows_from(np.where(new, 0, totals))
    past = Training(own, data.item[old], data.time[old], data.about)
    return Newcomers(past, users, rows_of((rows_from(totals), data.item), users))
