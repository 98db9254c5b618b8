"""Nearest items by inner product, with the same answer whatever users are asked about together."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np

from models.types import Bools, Floats, Ints


class ItemIndex:
    """Exact inner-product search (faiss IndexFlatIP) over the active items.

    Every search is padded to `batch` rows, for matrix products differ in their last bits between shapes.
    """

    def __init__(self, vectors: Floats, active: Bools, batch: int) -> None:
        """vectors (n, d); only items with active[item_no] can be found."""
        self.item_no = np.flatnonzero(active).astype(np.int32)
        self.batch = batch
        self.index = faiss.IndexFlatIP(vectors.shape[1])
        self.index.add(np.ascontiguousarray(vectors[self.item_no], np.float32))

    def search(self, users: Floats, k: int) -> Ints:
        """(B, k) item_no, best first, equal scores by item_no; -1 where there are fewer items than k."""
        found = np.full((len(users), k), -1, np.int32)
        width = min(k, len(self.item_no))
        if not width:
            return found
        for start in range(0, len(users), self.batch):
            part = users[start : start + self.batch]
            padded = np.zeros((self.batch, users.shape[1]), np.float32)
            padded[: len(part)] = part
            scores, rows = self.index.search(padded, width)
            items = self.item_no[rows[: len(part)]]
            order = np.lexsort((items, -scores[: len(part)]), axis=1)
            found[start : start + self.batch, :width] = np.take_along_axis(items, order, 1)
        return found


def write_index(path: Path, vectors: Floats) -> None:
    """An IndexFlatIP of all n vectors as a faiss file, for other tools; row i is item_no i."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, np.float32))
    faiss.write_index(index, str(path))


def use_threads(count: int) -> None:
    """Threads faiss may use in this process. Workers set one, so that they do not fight each other."""
    faiss.omp_set_num_threads(count)
