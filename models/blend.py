"""The order of candidates: a linear blend of what each source says of them, and the gate that lets it.

The blend is fitted by coordinate ascent on the ranking measure itself (Metzler and Croft, "Linear Feature-Based Models
for Information Retrieval", 2007), with each source's score and its rank as features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.metrics import hits_at, ndcg_at_k
from models.types import Bools, Floats, Ints, Longs

FEATURES = (
    "two_tower",
    "two_tower_rank",
    "item_item",
    "item_item_rank",
    "recent",
    "recent_rank",
    "popularity",
    "genre",
    "learnt",
)
"""Of a user and a candidate; learnt: what the ranker's network adds to the towers' inner product."""
LEARNT = FEATURES.index("learnt")
INPUTS = ("two_tower", "item_item", "recent", "popularity", "genre")
"""Features that order candidates by themselves."""
SIMPLER = "simpler"
"""The order without a ranker: ranks are fused, as in Cormack, Clarke and Büttcher (2009), with little of the rest."""
SIMPLER_WEIGHTS = {"two_tower_rank": 1.0, "item_item_rank": 1.0, "popularity": 0.05, "genre": 0.1}
SIMPLER_SHIFT = 7.6
"""Brings the best of them to about 3, as calibration does: scores are stored from -8 to 8."""
RANK_OFFSET = 10.0
"""Ranks enter as -log(RANK_OFFSET + rank): the first ones hardly differ."""
DEPTH, SHOWN = 50, 20
"""The blend is fitted on NDCG at DEPTH, which is steadier, and judged at SHOWN."""
STEPS = (0.05, 0.1, 0.2, 0.4, 0.8)
SWEEPS = 4
GAIN = 2e-4
"""A step is taken for this much more."""


@dataclass(frozen=True)
class Pool:
    """Candidates of B users: item_no (B, C) -1 padded, features (B, C, F), hits (B, C), relevant items (B,)."""

    item_no: Ints
    features: Floats
    hits: Bools
    counts: Longs

    @classmethod
    def of(cls, item_no: Ints, features: Floats, relevant: tuple[Longs, Ints]) -> Pool:
        """Of users with relevant items alone; relevant as in metrics.hits_at."""
        counts = np.diff(relevant[0])
        has = counts > 0
        return cls(item_no[has], features[has], hits_at(item_no, relevant)[has], counts[has])

    def __len__(self) -> int:
        return len(self.item_no)

    def take(self, rows: NDArray[np.bool_]) -> Pool:
        return Pool(self.item_no[rows], self.features[rows], self.hits[rows], self.counts[rows])

    def spread(self) -> Floats:
        """(F,) standard deviation of each feature over all candidates, 1 where it says nothing."""
        spread = self.features[self.item_no >= 0].std(0)
        return np.asarray(np.where(spread > 1e-6, spread, 1), np.float32)

    def ndcg(self, scores: Floats, k: int) -> NDArray[np.float64]:
        """(B,) NDCG at k of the candidates in the order of `scores` (B, C)."""
        masked = np.where(self.item_no < 0, -np.inf, scores)
        k = min(k, masked.shape[1])
        best = np.argpartition(-masked, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(masked, best, 1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, 1)
        return ndcg_at_k(np.take_along_axis(self.hits, best, 1), self.counts, k)


@dataclass(frozen=True)
class Verdict:
    """weights (F,) of the order that passed, kind: its name; judged: NDCG@20 of each, on users it was not fitted on."""

    weights: Floats
    kind: str
    judged: dict[str, float]


def judge(pool: Pool) -> Verdict:
    """Fit the blend and decide whether it is used: with the network, without it, or the best input alone.

    Each of the two halves of the users judges what was fitted on the other. A richer order is used only where it is
    better than every simpler one, so what is used is never worse there than the best of INPUTS and the ranker.
    """
    half = np.arange(len(pool)) % 2 == 0
    singles = {name: _single(name) for name in INPUTS} | {"ranker": _single("two_tower") + _single("learnt")}
    judged = {name: _mean(pool.ndcg(pool.features @ weights, SHOWN)) for name, weights in singles.items()}
    kind = max(judged, key=lambda name: judged[name])
    weights = singles[kind]
    plain = [place for place in range(len(FEATURES)) if place != LEARNT]
    for name, places in (("blend", plain), ("blend with network", [*plain, LEARNT])):
        if len(pool) >= 2:
            crossed = np.zeros(len(pool))
            for own in (half, ~half):
                crossed[~own] = pool.take(~own).ndcg(pool.features[~own] @ fit(pool.take(own), places), SHOWN)
            judged[name] = _mean(crossed)
            if judged[name] > judged[kind]:
                kind, weights = name, fit(pool, places)
    return Verdict(scaled(pool, weights), kind, judged)


def fit(pool: Pool, places: Sequence[int]) -> Floats:
    """(F,) weights of the features at `places`, by coordinate ascent from the best of them; 0 for the others."""
    spread = pool.spread()
    features = [pool.features[..., place] / spread[place] for place in places]
    alone = [_mean(pool.ndcg(feature, DEPTH)) for feature in features]
    start = int(np.argmax(alone))
    weights = np.zeros(len(places))
    weights[start] = 1.0
    scores, best = features[start].astype(np.float64), alone[start]
    for _ in range(SWEEPS):
        before = best
        for place, feature in enumerate(features):
            unit = max(float(np.abs(weights).max()), STEPS[2])
            found = [(_mean(pool.ndcg(scores + step * unit * feature, DEPTH)), step * unit) for step in _both_ways()]
            score, step = max(found)
            if score > best + GAIN:
                best, scores = score, scores + step * feature
                weights[place] += step
        if best == before:
            break
    full = np.zeros(len(FEATURES), np.float32)
    full[list(places)] = weights / spread[list(places)]
    return full


def scaled(pool: Pool, weights: Floats) -> Floats:
    """The same order in log-odds: stretched until a softmax over a user's candidates gives the hits most likely."""
    scores = np.where(pool.item_no < 0, -np.inf, pool.features @ weights).astype(np.float64)
    share = pool.hits / np.maximum(pool.hits.sum(1, keepdims=True), 1)
    spread = float(np.std(scores[np.isfinite(scores)])) if np.isfinite(scores).any() else 0.0
    if spread < 1e-9:
        return weights
    stretches = np.geomspace(0.1, 20, 40) / spread

    def likelihood(stretch: float) -> float:
        logits = scores * stretch
        top = logits.max(1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.exp(logits - top).sum(1))
        there = np.where(np.isfinite(logits), logits, 0)
        return float((share * (there - log_sum[:, None])).sum())

    return np.asarray(weights * max(stretches, key=likelihood), np.float32)


def _single(name: str) -> Floats:
    return np.array([feature == name for feature in FEATURES], np.float32)


def _both_ways() -> list[float]:
    return [sign * step for step in STEPS for sign in (1, -1)]


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
