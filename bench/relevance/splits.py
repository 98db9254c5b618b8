"""What is learnt from and what is held out. Nothing of the held-out part reaches anything that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.relevance.interactions import About, Interactions
from models.types import Bools, Ints, Longs

HELD_OUT = 5
"""One in so many: of a user's positives, rounded down, or of all positives."""
NEWEST = 10
"""One in so many items with positives, rounded down, is new by release."""
Kind = Literal["user", "time", "release"]
Flat = tuple[Longs, Ints]


@dataclass(frozen=True)
class Training:
    """Positives to learn from: offsets (U+1,) of each user's into items and times, oldest first; about: of n items."""

    offsets: Longs
    items: Ints
    times: Longs
    about: About

    @property
    def n(self) -> int:
        return len(self.about.release)

    @property
    def users(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def owners(self) -> Longs:
        """The user of each positive."""
        return np.repeat(np.arange(self.users, dtype=np.int64), np.diff(self.offsets))

    @cached_property
    def counts(self) -> Longs:
        """(n,) positives of each item."""
        return np.bincount(self.items, minlength=self.n)

    def seen(self, users: Longs) -> Flat:
        """The positives of some users, one row each."""
        return rows_of((self.offsets, self.items), users)


@dataclass(frozen=True)
class Split:
    """training: of all users; measured (T,): users with something held out; relevant: T rows of what it is."""

    training: Training
    measured: Longs
    relevant: Flat
    until: Longs
    """(U,) µs since 1970: each user's last training positive or, by time, the last that anybody has."""
    among: Bools
    """(n,): the items that are ranked, all of them but by release, where they are the new ones."""


def split(data: Interactions, kind: Kind) -> Split:
    """By each user's own time, by one moment for all, or by the items' release."""
    return {"user": by_user, "time": by_time, "release": by_release}[kind](data)


def by_user(data: Interactions) -> Split:
    """Of each user's positives, in the order of time and then of item_no, the last fifth (rounded down) is held out."""
    totals = np.bincount(data.user, minlength=len(data.user_ids))
    place = np.arange(len(data), dtype=np.int64) - (np.cumsum(totals) - totals)[data.user]
    held = place >= (totals - totals // HELD_OUT)[data.user]
    return _parts(data, held, by_time=False)


def by_time(data: Interactions) -> Split:
    """The last fifth of all positives (rounded down) is held out, with what came at the same moment as its first."""
    last = np.sort(data.time)[len(data) - len(data) // HELD_OUT :]
    held = data.time >= last[0] if len(last) else np.zeros(len(data), bool)
    return _parts(data, held, by_time=True)


def by_release(data: Interactions) -> Split:
    """Of the items with positives the newest tenth (rounded down) is held out with all of them.

    Equal releases go by the first positive, unknown ones are the oldest. Measured are users with positives on both
    sides.
    """
    first = np.full(len(data.item_ids), np.iinfo(np.int64).max)
    np.minimum.at(first, data.item, data.time)
    known = np.unique(data.item)
    order = known[np.lexsort((known, first[known], data.about.release[known]))]
    new = np.zeros(len(data.item_ids), bool)
    new[order[len(order) - len(order) // NEWEST :]] = True
    found = _parts(data, new[data.item], by_time=False)
    both = np.flatnonzero(np.diff(found.training.offsets)[found.measured])
    return replace(found, measured=found.measured[both], relevant=rows_of(found.relevant, both), among=new)


def validation(training: Training, kind: Kind) -> Split:
    """The training part split once more in the same way: what hyper-parameters are chosen on."""
    data = Interactions(
        [""] * training.users, [""] * training.n, training.about, training.owners.astype(np.int32), training.items,
        training.times,
    )  # fmt: skip
    return split(data, kind)


def _parts(data: Interactions, held: NDArray[np.bool_], by_time: bool) -> Split:
    users = len(data.user_ids)
    past = Training(_offsets(data.user[~held], users), data.item[~held], data.time[~held], data.about)
    counts = np.bincount(data.user[held], minlength=users)
    relevant = rows_of((_offsets(data.user[held], users), data.item[held]), np.flatnonzero(counts))
    until = np.full(users, past.times.max(initial=0)) if by_time else _last(past)
    return Split(past, np.flatnonzero(counts), relevant, until, np.ones(past.n, bool))


def _last(past: Training) -> Longs:
    last = np.zeros(past.users, np.int64)
    np.maximum.at(last, past.owners, past.times)
    return last


def _offsets(owners: Ints, users: int) -> Longs:
    return np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=users))]).astype(np.int64)


def rows_of(flat: Flat, rows: Longs) -> Flat:
    """Some rows of a Flat, in the order given."""
    offsets, values = flat
    counts = (offsets[1:] - offsets[:-1])[rows]
    ends = np.cumsum(counts)
    places = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
    return np.concatenate([[0], ends]).astype(np.int64), values[np.repeat(offsets[rows], counts) + places]


def only(flat: Flat, wanted: Bools) -> Flat:
    """The values of a Flat for which wanted (of every value there can be) is true, in rows that may be empty."""
    offsets, values = flat
    kept = wanted[values]
    before = np.concatenate([[0], np.cumsum(kept)])
    return before[offsets].astype(np.int64), values[kept]


HISTORY = ((0, 0), (1, 9), (10, 29), (30, 99), (100, None))
WATCHED = ((0, 0), (1, 19), (20, None))


def buckets(counts: Longs, bounds: Sequence[tuple[int, int | None]]) -> dict[str, Bools]:
    """Which counts lie in each range, by its name, such as "1-9" or "100+"; ranges that hold none are left out."""
    found = {}
    for low, high in bounds:
        inside = (counts >= low) & (counts <= (np.inf if high is None else high))
        if inside.any():
            found[f"{low}+" if high is None else f"{low}-{high}" if high > low else f"{low}"] = inside
    return found
