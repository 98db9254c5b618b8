"""Ranking measures, vectorised over users. Full ranking with seen items masked is the caller's part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.types import Floats, Ints, Longs

KS = (10, 20, 50)
SMOOTHING = 0.01
"""Share of the history's genres mixed into a list's, so that no genre has a share of 0 there."""
_DRAWN_TOGETHER = 4_000_000
"""Users drawn at once, over all resamples: 32 MB."""


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


def coverage(ranked: Ints, k: int, n: int) -> float:
    """Share of n items that stand among the first k of somebody's list."""
    return float(np.count_nonzero(_exposure(ranked, k, n)) / n)


def gini(ranked: Ints, k: int, n: int) -> float:
    """Gini coefficient of how often each of n items stands among the first k: 0 all alike, near 1 a few take all."""
    exposure = np.sort(_exposure(ranked, k, n))
    total = int(exposure.sum())
    return float((2 * np.arange(1, n + 1) - n - 1) @ exposure / (n * total)) if total else 0.0


def _exposure(ranked: Ints, k: int, n: int) -> Longs:
    shown = ranked[:, :k]
    return np.bincount(shown[shown >= 0], minlength=n)


def novelty(ranked: Ints, k: int, owners: Longs, users: int) -> NDArray[np.float64]:
    """(B,) mean self-information of the first k items, in bits: -log2 of the share of users who had the item before.

    owners (n,): how many of `users` had each item; one more is added to both, so that an item without any has a
    share. NaN for an empty list. Vargas and Castells, "Rank and relevance in novelty and diversity metrics", 2011.
    """
    bits = -np.log2((owners + 1) / (users + 1))
    return _list_mean(np.where(ranked[:, :k] >= 0, bits[ranked[:, :k]], 0.0), ranked[:, :k])


def intra_list_diversity(ranked: Ints, k: int, genres: Floats) -> NDArray[np.float64]:
    """(B,) mean of 1 - cosine of the genres over the pairs of the first k items; NaN for fewer than two items.

    genres (n, G), 0 or 1; an item without any shares nothing with another one. Ziegler et al., "Improving
    recommendation lists through topic diversification", 2005.
    """
    shown = ranked[:, :k]
    unit = genres / np.maximum(np.sqrt((genres**2).sum(1, keepdims=True)), 1e-12)
    there = (shown >= 0).astype(np.float64)
    count = there.sum(1)
    total = np.einsum("bk,bkg->bg", there, unit[shown].astype(np.float64))
    alike = (total**2).sum(1) - (there * (unit**2).sum(1)[shown]).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 1, 1 - alike / (count * (count - 1)), np.nan)


def calibration_error(ranked: Ints, k: int, history: tuple[Longs, Ints], genres: Floats) -> NDArray[np.float64]:
    """(B,) Kullback-Leibler divergence, in nats, of the genres of the first k items from those of the history.

    An item counts once, in equal parts for its genres. As in Steck, "Calibrated recommendations", 2018, the lists'
    side is smoothed by 0.01 of the other. NaN where the history has no genre.
    """
    share = genres / np.maximum(genres.sum(1, keepdims=True), 1)
    offsets, items = history
    owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    tastes = np.zeros((len(ranked), genres.shape[1]))
    np.add.at(tastes, owners, share[items])
    shown = ranked[:, :k]
    listed = np.einsum("bk,bkg->bg", (shown >= 0).astype(np.float64), share[shown].astype(np.float64))
    known = tastes.sum(1) > 0
    tastes, listed = _to_shares(tastes), _to_shares(listed)
    smooth = (1 - SMOOTHING) * listed + SMOOTHING * tastes
    terms = tastes * np.log(np.where(tastes > 0, tastes, 1) / np.where(tastes > 0, smooth, 1))
    return np.where(known, terms.sum(1), np.nan)


def _to_shares(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    total = rows.sum(1, keepdims=True)
    return np.asarray(rows / np.where(total > 0, total, 1), np.float64)


def _list_mean(values: NDArray[np.float64], shown: Ints) -> NDArray[np.float64]:
    count = (shown >= 0).sum(1)
    return np.where(count > 0, values.sum(1) / np.maximum(count, 1), np.nan)


def bootstrap_means(values: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """(resamples, S) means of S systems over users drawn with replacement, the same users for all systems.

    values (S, B). Differences of columns are paired, since each row is of one draw.
    """
    rng = np.random.default_rng(seed)
    systems, users = values.shape
    means = np.empty((resamples, systems))
    chunk = max(1, _DRAWN_TOGETHER // users)
    for start in range(0, resamples, chunk):
        drawn = rng.integers(0, users, (min(chunk, resamples - start), users))
        rows = np.arange(len(drawn), dtype=np.int64)[:, None] * users
        times = np.bincount((drawn + rows).ravel(), minlength=drawn.size).reshape(drawn.shape)
        means[start : start + len(drawn)] = times @ values.T / users
    return means


def interval(means: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95% of bootstrapped means (Efron's percentile interval)."""
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
