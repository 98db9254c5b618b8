"""What the lists of a publication look like, in sums that add up over any split of the users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.rerank import allowed
from models.types import CatalogueArrays

TOP = 20
"""Items of a list that a first page shows: what overlap, scores and coverage are measured on."""
_SPAN = 1 << 24
"""More than any item_no."""


@dataclass(frozen=True, eq=False)
class Lists:
    """Lists of B users end to end: those of user b lie at offsets[b] to offsets[b + 1]."""

    offsets: NDArray[np.int64]
    """(B + 1,)"""
    item_no: NDArray[np.int32]
    """(n,) each list best first."""
    score: NDArray[np.float32]
    """(n,)"""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    def owner(self) -> NDArray[np.int64]:
        """(n,) whose list each item is of."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def top(self) -> NDArray[np.bool_]:
        """(n,) whether an item stands among the first 20 of its list."""
        rank = np.arange(len(self.item_no)) - self.offsets[:-1][self.owner()]
        first: NDArray[np.bool_] = rank < TOP
        return first


@dataclass(frozen=True, eq=False)
class ListStats:
    lists: int
    short: int
    """Lists with fewer items than asked for, empty ones among them."""
    forbidden: int
    """Lists with an item that their user may not be shown."""
    compared: int
    """Lists whose user had one before, with an item."""
    overlap: float
    """Sum over those of the share of the old first 20 that is in the new first 20."""
    new_scores: NDArray[np.float64]
    """Number, sum and sum of squares of the first-20 scores of compared lists."""
    old_scores: NDArray[np.float64]
    """The same of the lists before."""
    places: NDArray[np.int64]
    """(items,) first-20 places that each item takes."""

    def __add__(self, other: ListStats) -> ListStats:
        return ListStats(
            self.lists + other.lists,
            self.short + other.short,
            self.forbidden + other.forbidden,
            self.compared + other.compared,
            self.overlap + other.overlap,
            self.new_scores + other.new_scores,
            self.old_scores + other.old_scores,
            self.places + other.places,
        )

    @classmethod
    def none(cls, items: int) -> ListStats:
        """Of no lists at all."""
        return cls(0, 0, 0, 0, 0.0, np.zeros(3), np.zeros(3), np.zeros(items, np.int64))

    def mean_overlap(self, least: int = 0) -> float:
        """1 where no list had one before. Lists that `least` has more than were compared count as kept whole."""
        more = max(least - self.compared, 0)
        return (self.overlap + more) / (self.compared + more) if self.compared else 1.0

    def drift(self, least: int = 0) -> float:
        """Shift of the mean score, in standard deviations of the scores before; 0 where there were none.

        Lists that `least` has more than were compared count as not moved.
        """
        if not self.old_scores[0] or not self.new_scores[0]:
            return 0.0
        old, new = self.old_scores[1] / self.old_scores[0], self.new_scores[1] / self.new_scores[0]
        spread = np.sqrt(max(self.old_scores[2] / self.old_scores[0] - old**2, 0.0))
        return float(abs(new - old) / max(spread, 1e-3) * self.compared / max(self.compared, least))

    def coverage(self, active: int) -> float:
        """Share of the active items, or of as many as there are places, that stand in some first 20."""
        possible = min(active, int(self.places.sum()))
        return float(np.count_nonzero(self.places) / possible) if possible else 1.0

    def concentration(self, active: int) -> float:
        """Share of all first-20 places that the most frequent 1% of the active items take (one item at least)."""
        total = int(self.places.sum())
        most = max(active // 100, 1)
        return float(np.sort(self.places)[::-1][:most].sum() / total) if total else 0.0


def measure(
    new: Lists,
    old: Lists,
    maturity_limit: NDArray[np.uint8],
    region_bit: NDArray[np.uint64],
    catalogue: CatalogueArrays,
    now: float,
    short: int,
) -> tuple[ListStats, NDArray[np.int64]]:
    """Measure the new lists of B users against the old ones, an empty old list meaning that there was none.

    maturity_limit, region_bit: (B,) what each user may be shown. now: epoch seconds, for licences.

    Returns:
        The sums, and the places (indices into new.item_no) of items that their users may not be shown.
    """
    owner = new.owner()
    shown = allowed(
        new.item_no,
        active=catalogue.active,
        maturity=catalogue.maturity,
        licensed=catalogue.licensed,
        available_from=catalogue.available_from,
        available_until=catalogue.available_until,
        now=now,
        maturity_limit=maturity_limit[owner],
        region_bit=region_bit[owner],
    )
    wrong = np.flatnonzero(~shown)
    top, compared = new.top(), (old.lengths > 0) & (new.lengths > 0)
    first = new.item_no[top]
    known = first[(first >= 0) & (first < len(catalogue.active))]
    overlap, new_scores, old_scores = _compare(new, old, compared)
    stats = ListStats(
        lists=len(new),
        short=int((new.lengths < short).sum()),
        forbidden=len(np.unique(owner[wrong])),
        compared=int(compared.sum()),
        overlap=overlap,
        new_scores=new_scores,
        old_scores=old_scores,
        places=np.bincount(known, minlength=len(catalogue.active)).astype(np.int64),
    )
    return stats, wrong


def _compare(
    new: Lists, old: Lists, compared: NDArray[np.bool_]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    keys, scores = [], []
    for lists in (new, old):
        taken = lists.top() & compared[lists.owner()]
        keys.append(lists.owner()[taken] * _SPAN + lists.item_no[taken])
        scores.append(_moments(lists.score[taken]))
    kept = np.isin(keys[1], keys[0])
    users = keys[1] // _SPAN
    had, still = np.bincount(users, minlength=len(old)), np.bincount(users[kept], minlength=len(old))
    return float((still[compared] / had[compared]).sum()), scores[0], scores[1]


def _moments(values: NDArray[Any]) -> NDArray[np.float64]:
    wide = values.astype(np.float64)
    return np.array([len(wide), wide.sum(), np.square(wide).sum()])
