"""Similar items: watched by the same users, and of a kind where few watches tell."""

from __future__ import annotations

import faiss
import numpy as np

from models.cowatch import CoWatched
from models.types import Bools, Floats, Ints

CHUNK = 1024
"""Items asked about at once; the last chunk is padded, so that results do not depend on the catalogue's end."""
PRIOR = 10.0
"""Common watchers that two items of the same vector are taken to have before anybody watched either."""


def similar_items(vectors: Floats, eligible: Bools, near: CoWatched, k: int = 50) -> tuple[Ints, Floats]:
    """The k most similar eligible items of every item, never the item itself.

    Similarity is the cosine of the items' watchers, shrunk to that of their vectors (n, d), which content makes up
    where there are no watches: (common watchers + PRIOR · cosine) / (√(watchers · watchers) + PRIOR), at most 1.
    Items beyond those of `near` have no watchers yet. Returns item_no (n, k), -1 padded, and similarity (n, k), 0 where
    padded. Equal ones are ordered by item_no; which of those equal to the last one are in is faiss's choice, the same
    each time.
    """
    n, d = vectors.shape
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.ascontiguousarray(vectors / np.maximum(norms, 1e-12), np.float32)
    watchers = np.zeros(n, np.float32)
    watchers[: len(near.watchers)] = near.watchers
    slots = np.flatnonzero(eligible).astype(np.int32)
    items, scores = np.full((n, k), -1, np.int32), np.zeros((n, k), np.float32)
    index = faiss.IndexFlatIP(d)
    index.add(np.ascontiguousarray(unit[slots]))
    width = min(k + 1, len(slots))
    for start in range(0, n if width else 0, CHUNK):
        rows = np.arange(start, min(start + CHUNK, n))
        part = np.zeros((CHUNK, d), np.float32)
        part[: len(rows)] = unit[rows]
        alike = slots[index.search(part, width)[1][: len(rows)]]
        known = rows[rows < len(near.items)]
        together = np.full((len(rows), near.items.shape[1]), -1, np.int32)
        common = np.zeros(together.shape, np.float32)
        together[: len(known)], common[: len(known)] = near.items[known], near.together[known]
        found = np.concatenate([together, alike], axis=1)
        common = np.concatenate([common, _common(alike, together, common)], axis=1)
        cosine = np.einsum("rd,rcd->rc", unit[rows], unit[np.maximum(found, 0)])
        both = np.sqrt(watchers[rows][:, None] * watchers[np.maximum(found, 0)])
        score = (common + PRIOR * cosine) / (both + PRIOR)
        wrong = (found < 0) | (found == rows[:, None]) | ~eligible[np.maximum(found, 0)] | _again(found)
        order = np.lexsort((found, -score, wrong), axis=1)[:, :k]
        kept = ~np.take_along_axis(wrong, order, 1)
        wide = order.shape[1]
        items[rows, :wide] = np.where(kept, np.take_along_axis(found, order, 1), -1)
        scores[rows, :wide] = np.where(kept, np.take_along_axis(score, order, 1), 0)
    return items, scores


def _common(items: Ints, near: Ints, together: Floats) -> Floats:
    """(r, c) common watchers of each row's item and `items` (r, c), as far as they stand in near (r, S)."""
    order = np.argsort(near, axis=1, kind="stable")
    near, together = np.take_along_axis(near, order, 1), np.take_along_axis(together, order, 1)
    rows = np.arange(len(items), dtype=np.int64)[:, None]
    top = int(max(items.max(initial=0), near.max(initial=0))) + 2
    keys, wanted = (rows * top + near + 1).ravel(), (rows * top + items + 1).ravel()
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    if not len(keys):
        return np.zeros(items.shape, np.float32)
    return np.where(keys[place] == wanted, together.ravel()[place], 0).reshape(items.shape).astype(np.float32)


def _again(found: Ints) -> Bools:
    """(r, c) whether an item stands further left in its row already."""
    order = np.argsort(found, axis=1, kind="stable")
    ordered = np.take_along_axis(found, order, 1)
    again, out = np.zeros(found.shape, bool), np.zeros(found.shape, bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    np.put_along_axis(out, order, again, 1)
    return out
