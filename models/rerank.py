"""Rules over a list of items, as functions of arrays. numpy only: the batch and the service share them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEW = 16
"""Up to this many, comparing each with each is faster than np.isin, which sorts."""
UNGROUPED = -1
"""Group of an item that no diversity rule limits."""


class Bar(IntEnum):
    """What keeps an item from a viewer. An item that several rules bar goes by the first of them."""

    NONE = 0
    UNKNOWN = 1
    """The catalogue does not have it."""
    INACTIVE = 2
    """Out of the catalogue, or taken down."""
    MATURITY = 3
    REGION = 4
    WINDOW = 5
    """Its licence has not begun, or is over."""
    TIER = 6
    """The viewer's subscription does not have it."""
    HIDDEN = 7
    """The viewer watched, rated or refused it."""
    SHOWN = 8
    """It stands elsewhere on the page."""

    @property
    def label(self) -> str:
        return self.name.lower()


OPEN = int(Bar.NONE)
"""As a plain number: reading a member of an enum takes longer than most of what is done with it."""


def in_region(licensed: NDArray[np.uint64], region_bit: np.uint64 | NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which licences have one of the bits that a viewer may go by."""
    shared: NDArray[np.bool_] = (licensed & region_bit) != 0
    return shared


def in_window(available_from: NDArray[Any], available_until: NDArray[Any], now: float) -> NDArray[np.bool_]:
    """Which licences hold now: they run from their start up to, not including, their end. Epoch seconds."""
    inside: NDArray[np.bool_] = (available_from <= now) & (now < available_until)
    return inside


def allowed(
    item_no: NDArray[Any],
    *,
    active: NDArray[np.bool_],
    maturity: NDArray[np.uint8],
    licensed: NDArray[np.uint64],
    available_from: NDArray[np.float64],
    available_until: NDArray[np.float64],
    now: float,
    maturity_limit: int | NDArray[np.uint8],
    region_bit: np.uint64 | NDArray[np.uint64],
    exclude: NDArray[Any] | None = None,
) -> NDArray[np.bool_]:
    """Which items may be shown to the user, or users, that they are meant for.

    Args:
        item_no: (n,) slots in any order; a slot that the catalogue does not have (-1, or too high) is never allowed.
        active, maturity, licensed, available_from, available_until: the catalogue, one entry a slot.
        now: epoch seconds. The licence runs from `available_from` up to, not including, `available_until`.
        maturity_limit: the highest maturity the user may see; (n,) where the items are not all for one user.
        region_bit: the licence bits of which one is enough; likewise.
        exclude: item_nos the user must not see (watched, refused), in any order.

    Returns:
        (n,) bool.
    """
    numbers = np.asarray(item_no)
    known = (numbers >= 0) & (numbers < len(active))
    slot = numbers if known.all() else np.where(known, numbers, 0)
    if not known.any():
        return known
    mask: NDArray[np.bool_] = known & active[slot]
    mask &= maturity[slot] <= maturity_limit
    mask &= in_region(licensed[slot], region_bit)
    mask &= in_window(available_from[slot], available_until[slot], now)
    if exclude is not None and len(exclude):
        mask &= ~among(numbers, np.asarray(exclude))
    return mask


def catalogue_bars(
    *,
    active: NDArray[np.bool_],
    maturity: NDArray[np.uint8],
    licensed: NDArray[np.uint64],
    available_from: NDArray[np.float64],
    available_until: NDArray[np.float64],
    now: float,
    maturity_limit: int,
    region_bits: Sequence[int],
    withheld: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """The `Bar` of every item for viewers with the same limits, by the rules of `allowed`.

    Args:
        region_bits: an item's licence needs one bit of each of these.
        withheld: (n,) what the viewers' subscription tier does not get.

    Returns:
        (n + 1,) for `bars_of`; the last entry, UNKNOWN, stands for any slot that the catalogue does not have.
    """
    regional = np.ones(len(active), bool)
    for bit in region_bits:
        regional &= in_region(licensed, np.uint64(bit))
    bars = np.full(len(active) + 1, OPEN, np.uint8)
    bars[-1] = Bar.UNKNOWN
    # The first rule is written last, so it stands.
    bars[:-1][withheld] = Bar.TIER
    bars[:-1][~in_window(available_from, available_until, now)] = Bar.WINDOW
    bars[:-1][~regional] = Bar.REGION
    bars[:-1][maturity > maturity_limit] = Bar.MATURITY
    bars[:-1][~active] = Bar.INACTIVE
    return bars


def bars_of(bars: NDArray[np.uint8], item_no: NDArray[np.int32]) -> NDArray[np.uint8]:
    """(k,) the bars of some items, whatever slots they name, from `catalogue_bars`."""
    # Taken as unsigned, -1 lies beyond the end like any slot that is too high.
    found: NDArray[np.uint8] = bars[np.minimum(item_no.view(np.uint32), len(bars) - 1)]
    return found


def among(numbers: NDArray[Any], others: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) which of `numbers` are in `others`."""
    if len(others) > FEW:
        return np.isin(numbers, others)
    # Long rows are reduced faster than long columns.
    inside: NDArray[np.bool_] = (numbers == others[:, None]).any(axis=0)
    return inside


class Diversifier:
    """Chooses a page from items in order of rank, with few of one kind close together.

    Any `window` neighbours on the page hold at most `most[r]` items of one group of rule r. Where no item left fits,
    rules give way, the last one first, before the page comes out short. Greedy: what is chosen for a place does not
    depend on how many places follow, so a longer page continues a shorter one.
    """

    def __init__(self, window: int, most: Sequence[int]) -> None:
        self.page: list[int] = []
        """Indices of the items chosen so far."""
        self.held: dict[int, int] = {}
        """Rule that first made an item wait, by the item's index."""
        self._window = window
        self._rules: list[tuple[list[int], dict[int, int], int]] = [([], {UNGROUPED: 0}, limit) for limit in most]
        self._waiting: list[int] = []
        self._ahead = 0
        self._count = 0

    def extend(self, groups: NDArray[Any]) -> None:
        """Add items that rank after all others. groups: (k, R) group numbers of k items for R rules; -1: none."""
        for (numbers, _, _), more in zip(self._rules, groups.T.tolist(), strict=True):
            numbers.extend(more)
        self._count += len(groups)

    @property
    def left(self) -> int:
        """Items not chosen yet."""
        return self._count - len(self.page)

    def take(self, count: int) -> list[int]:
        """Choose `count` further items, or as many as are left. Returns their indices, in the order of the page."""
        start = len(self.page)
        for _ in range(min(count, self.left)):
            if len(self.page) >= self._window:
                leaving = self.page[-self._window]
                for groups, near, _ in self._rules:
                    near[groups[leaving]] -= 1
            taken = self._best()
            self.page.append(taken)
            for groups, near, _ in self._rules:
                group = groups[taken]
                near[group] = near.get(group, 0) + 1
        return self.page[start:]

    def _best(self) -> int:
        """The item for the next place."""
        taken = self._first_waiting(len(self._rules)) if len(self.page) >= self._window else None
        if taken is not None:
            return taken
        for index in range(self._ahead, self._count):
            broken = self._broken(index)
            self._ahead = index + 1
            if broken is None:
                return index
            self._waiting.append(index)
            self.held[index] = broken
        strict = len(self._rules)
        while taken is None:
            strict -= 1
            taken = self._first_waiting(strict)
        return taken

    def _broken(self, index: int) -> int | None:
        """The first rule that an item would break at the next place."""
        for number, (groups, near, most) in enumerate(self._rules):
            group = groups[index]
            if group >= 0 and near.get(group, 0) >= most:
                return number
        return None

    def _first_waiting(self, strict: int) -> int | None:
        """Take the best of those that wait which keeps the first `strict` rules."""
        for place, index in enumerate(self._waiting):
            broken = self._broken(index)
            if broken is None or broken >= strict:
                return self._waiting.pop(place)
        return None


def diversify(groups: NDArray[Any], most: Sequence[int], window: int, limit: int) -> list[int]:
    """One page of `limit` items by `Diversifier`, from (n, R) groups, best item first.

    Returns:
        Indices of the items, in the order of the page; min(limit, n) of them.
    """
    chosen = Diversifier(window, most)
    chosen.extend(groups)
    return chosen.take(limit)


def fit_line(x: NDArray[Any], y: NDArray[Any]) -> tuple[float, float]:
    """(slope, intercept) of a robust line through (n,) points, n ≥ 1, with slope ≥ 0.

    Least squares; then once more without the points whose residual is above 2.5 standard deviations, estimated by the
    median absolute residual × 1.4826, so that a few odd points do not turn the line (the reweighted least squares of
    Rousseeuw and Leroy, Robust Regression and Outlier Detection, 1987, with one step from ordinary least squares). A
    slope below 0 becomes 0 and the line the mean, which is the least-squares solution under slope ≥ 0.
    """
    points = np.empty((3, len(x)))
    points[0], points[1], points[2] = 1, x, y
    slope, intercept = _least_squares(points @ points.T)
    residual = np.abs(np.array((-intercept, -slope, 1.0)) @ points)
    middle = len(x) // 2
    near = residual <= 2.5 * 1.4826 * np.partition(residual, middle)[middle]
    if not near.all():
        slope, intercept = _least_squares((points * near) @ points.T)
    return slope, intercept


def _least_squares(moments: NDArray[np.float64]) -> tuple[float, float]:
    """(slope, intercept) from the (3, 3) sums of products of 1, x and y over the points."""
    (count, x, y), (_, xx, xy), _ = moments.tolist()
    spread = count * xx - x * x
    slope = max(0.0, (count * xy - x * y) / spread) if spread > 1e-9 * count * count else 0.0
    return slope, (y - slope * x) / count
