"""Ranking measures, vectorised over users. Full ranking with seen items masked is the caller's part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.types import Ints, Longs

KS = (10, 20, 50)


def hits_at(ranked: Ints, relevant: tuple[Longs, Ints]) -> NDArray[np.bool_]:
    """(B, L) True where the ranked item is one of the user's relevant ones. -1 in `ranked` is never a hit.

    ranked: (B, L) item_no, best first, none twice in a row.
    relevant: offsets (B+1,) and the flat item_no of the held-out items, none twice for a user.
    """
    offsets, items = relevant
    top = int(max(ranked.max(initial=0), items.max(initial=0))) + 1
    owners = np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))
    wanted = np.sort(owners * top + items)
    keys = np.arange(len(ranked), dtype=np.int64)[:, None] * top + ranked
    if not len(wanted):
        return np.zeros(ranked.shape, bool)
    place = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    return np.asarray((wanted[place] == keys) & (ranked >= 0), np.bool_)


def recall_at_k(hits: NDArray[np.bool_], counts: Longs, k: int) -> NDArray[np.float64]:
    """(B,) hits among the first k / held-out items. Users must have at least one."""
    return np.asarray(hits[:, :k].sum(1) / counts, np.float64)


def ndcg_at_k(hits: NDArray[np.bool_], counts: Longs, k: int) -> NDArray[np.float64]:
    """(B,) NDCG with binary gains and an ideal of min(k, held-out items).

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    width = min(k, hits.shape[1])
    gained = hits[:, :width] @ discounts[:width]
    return np.asarray(gained / np.cumsum(discounts)[np.minimum(counts, k) - 1], np.float64)


def mrr_at_k(hits: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """(B,) 1 / place of the first hit among the first k, 0 without one."""
    first = hits[:, :k].argmax(1)
    return np.where(hits[:, :k].any(1), 1 / (first + 1), 0.0)


def summary(ranked: Ints, relevant: tuple[Longs, Ints], prefix: str) -> dict[str, float]:
    """Means over users as {"PREFIX.recall@20": …}, for K = 10, 20, 50. Users without held-out items are left out."""
    counts = np.diff(relevant[0])
    has = counts > 0
    hits = hits_at(ranked, relevant)[has]
    counts = counts[has]
    out = {}
    for k in KS:
        out[f"{prefix}.recall@{k}"] = _mean(recall_at_k(hits, counts, k))
        out[f"{prefix}.ndcg@{k}"] = _mean(ndcg_at_k(hits, counts, k))
        out[f"{prefix}.mrr@{k}"] = _mean(mrr_at_k(hits, k))
    return out


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
