"""Items that may be shown, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Pool(NamedTuple):
    """Items that may be shown. All arrays are (n,)."""

    item_no: NDArray[np.int32]
    score: NDArray[np.float32]
    reason: NDArray[np.uint8]
    anchor: NDArray[np.uint8]
    tier: NDArray[np.uint8]
    """Index into `Order.tiers`."""

    def joined(self, more: Pool) -> Pool:
        if not len(self.item_no):
            return more
        return Pool(
            np.concatenate([self.item_no, more.item_no]),
            np.concatenate([self.score, more.score]),
            np.concatenate([self.reason, more.reason]),
            np.concatenate([self.anchor, more.anchor]),
            np.concatenate([self.tier, more.tier]),
        )

    def take(self, rows: Sequence[int]) -> Pool:
        chosen = np.array(rows, np.intp)
        return Pool(
            self.item_no[chosen], self.score[chosen], self.reason[chosen], self.anchor[chosen], self.tier[chosen]
        )


EMPTY = Pool(
    np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.uint8)
)
