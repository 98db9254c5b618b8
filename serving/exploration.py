"""Draws of items that the models would not have shown, with the exact probability of each.

What a propensity means. An order is decided block by block, a block being `diversity.window` places. Given the blocks
before it, a block's items at the places that may explore are random in two ways, both drawn from the order's seed: a
share of orders explores, and those draw an item for each such place. The propensity of an item at a place is the
probability, over seeds, that this item stands there, everything else being equal: the user's list, session and limits,
the snapshot, the time, and what the blocks before showed. So

- at a place that never explores it is 1,
- at a place that may, it is 1 − share for the item that the order itself puts there,
- and share × (share of its stratum) / (size of its stratum) for an item that was drawn.

At every place these sum to 1 over all items that can stand there. Estimates of another policy from what was shown use
the places that may explore, and weigh by 1 / propensity.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from conf.rules import Exploration
from stores.rollout import share_of


class Draw(NamedTuple):
    item_no: int
    propensity: float
    """Given that the order explores."""


class Stratum(NamedTuple):
    item_no: NDArray[Any]
    """(m,) items that one draw takes with equal probability."""
    share: float
    """Of draws that are from it."""


def explores(rules: Exploration, seed: str) -> bool:
    """Whether the order of this seed explores."""
    return share_of(rules.salt, seed) < rules.share


def generator(rules: Exploration, seed: str, block: int) -> np.random.Generator:
    """Random numbers for one block, the same each time and independent of all other blocks and seeds."""
    digest = blake2b(f"{rules.salt}:{block}:{seed}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest))


def strata(pool: NDArray[np.bool_], new: NDArray[np.int32], new_share: float, places: int) -> Sequence[Stratum]:
    """New items of a pool and all others, so that the few new ones are drawn more often than evenly.

    One stratum where either has fewer items than there are places: a stratum must not run dry, or draws for later
    places would depend on those for earlier ones.

    Args:
        pool: (n,) whether an item may be drawn; at least `places` may.
        new: (m,) item_nos of the new-item shelf.
    """
    drawn_new = new[pool[new]]
    others = pool.copy()
    others[new] = False
    rest = np.flatnonzero(others)
    if min(len(drawn_new), len(rest)) < places:
        return (Stratum(np.flatnonzero(pool), 1.0),)
    return Stratum(drawn_new, new_share), Stratum(rest, 1 - new_share)


def draw(parts: Sequence[Stratum], places: int, rng: np.random.Generator) -> list[Draw]:
    """An item for each place, no item twice.

    Each place picks a stratum by its share; the items of a stratum's places are then drawn from it without
    replacement. In such a draw every item is equally likely at every place, so the probability of an item at a place is
    its stratum's share over its stratum's size, whatever the number of places.
    """
    picks = np.searchsorted(np.cumsum([part.share for part in parts])[:-1], rng.random(places), side="right")
    found: list[Draw | None] = [None] * places
    for number, part in enumerate(parts):
        wanted = np.flatnonzero(picks == number)
        drawn = part.item_no[rng.choice(len(part.item_no), len(wanted), replace=False)]
        for place, item_no in zip(wanted.tolist(), drawn.tolist(), strict=True):
            found[place] = Draw(item_no, part.share / len(part.item_no))
    return [each for each in found if each is not None]
