"""Inner products of users with all items that may be found, and the file of them for other tools."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import torch
from torch import Tensor

from models.highest import Products
from models.types import Bools, Floats, Ints


class ItemIndex:
    """Exact inner products with the active items: one matrix product a batch, which is faster than any index of fewer
    than some hundred thousand items, and whose rows do not depend on each other.

    Every product is of `batch` rows, for their last bits differ between shapes.
    """

    def __init__(self, vectors: Floats, active: Bools, batch: int) -> None:
        """vectors (n, d); only items with active[item_no] can be found."""
        self._vectors = vectors
        self.item_no = np.flatnonzero(active).astype(np.int32)
        self._column = np.full(len(vectors), -1, np.int64)
        self._column[self.item_no] = np.arange(len(self.item_no))
        self._active = torch.from_numpy(np.ascontiguousarray(vectors[self.item_no], np.float32))
        self._products = torch.empty(batch, len(self.item_no))

    def products(self, users: Tensor) -> Products:
        """Of users (batch, d) with all active items, until the next call."""
        torch.mm(users, self._active.T, out=self._products)
        return Products(self._products.numpy(), self.item_no)

    def at(self, products: Products, users: Tensor, items: Ints) -> Floats:
        """(B, C) the products of some items (B, C), active or not; 0 where there is none (-1)."""
        column = self._column[np.maximum(items, 0)]
        found = np.zeros(items.shape, np.float32)
        if len(self.item_no):
            found = np.take_along_axis(products.values, np.maximum(column, 0), 1)
            found[items < 0] = 0
        rows, places = np.nonzero((column < 0) & (items >= 0))
        found[rows, places] = (users.numpy()[rows] * self._vectors[items[rows, places]]).sum(1)
        return found


def write_index(path: Path, vectors: Floats) -> None:
    """An IndexFlatIP of all n vectors as a faiss file, for other tools; row i is item_no i."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, np.float32))
    faiss.write_index(index, str(path))
