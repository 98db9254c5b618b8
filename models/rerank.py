"""Rules over a list of items, as functions of arrays. numpy only: the batch and the service share them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conf.vocabulary import NO_GENRE

FEW = 16
"""Up to this many, comparing each with each is faster than np.isin, which sorts."""


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
    mask &= (licensed[slot] & region_bit) != 0
    mask &= (available_from[slot] <= now) & (now < available_until[slot])
    if exclude is not None and len(exclude):
        mask &= _outside(numbers, np.asarray(exclude))
    return mask


def _outside(numbers: NDArray[Any], exclude: NDArray[Any]) -> NDArray[np.bool_]:
    if len(exclude) > FEW:
        return np.isin(numbers, exclude, invert=True)
    outside: NDArray[np.bool_] = (numbers[:, None] != exclude).all(axis=1)
    return outside


def diversify(primary_genre: NDArray[np.uint8], limit: int, max_per_genre: int, window: int) -> list[int]:
    """Choose a page from items in order of rank, with few of one primary genre close together.

    Any `window` neighbours on the page hold at most `max_per_genre` items of one primary genre. Where no item
    left fits, the best one left is taken all the same: the rule gives way before the page comes out short.

    Args:
        primary_genre: (n,) genre number of each item, best first; 255: none, which is never limited.
        limit: length of the page.

    Returns:
        Indices into `primary_genre`, in the order of the page; min(limit, n) of them.
    """
    genres = primary_genre.tolist()
    page: list[int] = []
    waiting: list[int] = []
    near: Counter[int] = Counter()
    ahead = 0

    def fits(index: int) -> bool:
        return genres[index] == NO_GENRE or near[genres[index]] < max_per_genre

    while len(page) < min(limit, len(genres)):
        taken = None
        if len(page) >= window:
            near[genres[page[-window]]] -= 1
            taken = next((index for index in waiting if fits(index)), None)
            if taken is not None:
                waiting.remove(taken)
        while taken is None and ahead < len(genres):
            if fits(ahead):
                taken = ahead
            else:
                waiting.append(ahead)
            ahead += 1
        if taken is None:
            taken = waiting.pop(0)
        page.append(taken)
        near[genres[taken]] += 1
    return page
