"""Similar items by the angle between their vectors."""

from __future__ import annotations

import faiss
import numpy as np

from models.types import Bools, Floats, Ints

CHUNK = 1024
"""Items asked about at once; the last chunk is padded, so that results do not depend on the catalogue's end."""


def similar_items(vectors: Floats, eligible: Bools, k: int = 50) -> tuple[Ints, Floats]:
    """The k nearest eligible items of every item by cosine, never the item itself.

    Returns item_no (n, k), -1 padded, and cosine (n, k), 0 where padded. Equal scores are ordered by item_no; which of
    those equal to the last one are in is faiss's choice, the same each time.
    """
    n, d = vectors.shape
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.ascontiguousarray(vectors / np.maximum(norms, 1e-12), np.float32)
    slots = np.flatnonzero(eligible).astype(np.int32)
    items = np.full((n, k), -1, np.int32)
    scores = np.zeros((n, k), np.float32)
    width = min(k + 1, len(slots))
    if not width:
        return items, scores
    index = faiss.IndexFlatIP(d)
    index.add(np.ascontiguousarray(unit[slots]))
    for start in range(0, n, CHUNK):
        part = unit[start : start + CHUNK]
        padded = np.zeros((CHUNK, d), np.float32)
        padded[: len(part)] = part
        cosine, rows = index.search(padded, width)
        found, cosine = slots[rows[: len(part)]], cosine[: len(part)]
        itself = found == np.arange(start, start + len(part), dtype=np.int32)[:, None]
        order = np.lexsort((found, -cosine, itself), axis=1)[:, :k]
        kept = ~np.take_along_axis(itself, order, 1)
        wide = order.shape[1]
        items[start : start + len(part), :wide] = np.where(kept, np.take_along_axis(found, order, 1), -1)
        scores[start : start + len(part), :wide] = np.where(kept, np.take_along_axis(cosine, order, 1), 0)
    return items, scores
