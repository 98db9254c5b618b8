"""The item-item linear model: what each watch of a user says about every other item.

EASE-R (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", 2019): the ridge regression of every item on all
others, which has a closed form. Where the catalogue is too large for that, each item is regressed on the items nearest
to it alone (the feature selection of fsSLIM: Ning and Karypis, "SLIM: Sparse Linear Methods for Top-N Recommender
Systems", 2011). A watch counts the less, the more watches came after it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from conf.settings import Settings
from models.batches import ExampleSource, Survey
from models.cowatch import CoCounts, CoWatched, co_watched, read_baskets, strongest
from models.evaluation import Cases, measure
from models.gathering import Told
from models.types import Floats, Ints

RIDGES = (100.0, 300.0, 1000.0)
DECAYS = (1.0, 0.97, 0.9, 0.8)
"""What validation chooses from: the ridge penalty, and the weight that a watch keeps for each newer one."""
RECENT = 0.5
"""The decay by which what was watched last is scored, as a feature of its own."""
WATCHES = 50
"""Newest watches that are read."""
JUDGED = 2000
"""Validation users, at most, that choose."""
NEIGHBOURS = 100
"""Items that one is regressed on where there is no closed form."""
LEAST = 2
"""Watches that an item needs: a single one says what one user watched, not what goes together."""


@dataclass(frozen=True)
class ItemItem:
    """items (n, K) item_no, -1 padded, weights (n, K): what a watch of each row's item adds to their scores.

    decay: the weight that a watch keeps for each newer one; near: what similar items are found by.
    """

    items: Ints
    weights: Floats
    decay: float
    near: CoWatched

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class Chosen:
    """ridge and decay, and the validation measure of each pair that was tried, as "ridge 100 decay 0.9"."""

    ridge: float
    decay: float
    tried: dict[str, float]


def fit_item_item(
    source: ExampleSource,
    splits: Collection[str],
    survey: Survey,
    settings: Settings,
    judge: Callable[[ItemItem], float] | None,
    chosen: Chosen | None,
) -> tuple[ItemItem, Chosen]:
    """The model of the positives of `splits`, each user and item once.

    judge: higher is better; without one, or with `chosen`, nothing is tried. The same input and thread count give
    the same arrays.
    """
    n, keep = len(survey.positives), settings.item_item.keep
    baskets = read_baskets(source, splits, survey.positive_examples, settings.item_item.max_watches)
    known = np.flatnonzero(np.bincount(baskets.items, minlength=n) >= LEAST).astype(np.int32)
    counts = CoCounts(baskets, known, n)
    near = co_watched(counts, n, keep)
    if len(known) <= settings.item_item.exact_items:
        gram = counts.dense()

        def solved(ridge: float) -> ItemItem:
            return _cut_off(closed_form(gram, ridge), known, n, keep, near)
    else:

        def solved(ridge: float) -> ItemItem:
            return by_neighbours(near, n, keep, ridge)

    if chosen is None and judge is None:
        chosen = Chosen(RIDGES[1], DECAYS[1], {})
    if chosen is not None:
        return replace(solved(chosen.ridge), decay=chosen.decay), chosen
    assert judge is not None
    tried: dict[str, float] = {}
    best, most = None, -np.inf
    for ridge in RIDGES:
        model = solved(ridge)
        for decay in DECAYS:
            score = judge(replace(model, decay=decay))
            tried[f"ridge {ridge:g} decay {decay:g}"] = score
            if score > most:
                best, most, chosen = replace(model, decay=decay), score, Chosen(ridge, decay, tried)
    assert best is not None
    assert chosen is not None
    return best, chosen


def closed_form(gram: Floats, ridge: float) -> Floats:
    """(m, m) weights B that minimise |X - X B|² + ridge |B|² with a zero diagonal; gram (m, m) = XᵀX.

    Row j is what a watch of item j adds to the score of each item: B = I - P / diag(P), P = (XᵀX + ridge I)⁻¹.
    """
    if not len(gram):
        return gram
    shifted = torch.from_numpy(gram) + ridge * torch.eye(len(gram))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(shifted)).numpy()
    weights = -inverse / np.diag(inverse)[None]
    np.fill_diagonal(weights, 0)
    return np.asarray(weights, np.float32)


def by_neighbours(near: CoWatched, n: int, keep: int, ridge: float) -> ItemItem:
    """The same regression, of each item on its NEIGHBOURS nearest alone; of co-watches it reads those in `near`."""
    place = np.full(n + 1, -1, np.int64)
    sources, targets, found = [], [], []
    for item in np.flatnonzero(near.watchers >= LEAST):
        others = near.items[item, :NEIGHBOURS]
        others = others[others >= 0]
        if not len(others):
            continue
        place[others] = np.arange(len(others))
        columns = place[near.items[others]]
        rows, slots = np.nonzero(columns >= 0)
        gram = np.diag(near.watchers[others] + ridge).astype(np.float32)
        gram[rows, columns[rows, slots]] = near.together[others][rows, slots]
        gram = np.maximum(gram, gram.T)
        place[others] = -1
        sources.append(others)
        targets.append(np.full(len(others), item, np.int32))
        found.append(np.linalg.solve(gram, near.together[item, : len(others)]))
    if not sources:
        return _cut_off(np.zeros((0, 0), np.float32), np.zeros(0, np.int32), n, keep, near)
    source, target, weight = (np.concatenate(parts) for parts in (sources, targets, found))
    order = np.lexsort((target, -np.abs(weight), source))
    source, target, weight = source[order], target[order], weight[order]
    counts = np.bincount(source, minlength=n)
    rank = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
    items, weights = np.full((n, keep), -1, np.int32), np.zeros((n, keep), np.float32)
    kept = rank < keep
    items[source[kept], rank[kept]], weights[source[kept], rank[kept]] = target[kept], weight[kept]
    return ItemItem(items, weights, 1.0, near)


def _cut_off(dense: Floats, known: Ints, n: int, keep: int, near: CoWatched) -> ItemItem:
    """The `keep` weights of each row that say most, for or against."""
    items, weights = np.full((n, keep), -1, np.int32), np.zeros((n, keep), np.float32)
    for row, item_no in zip(dense, known, strict=True):
        best = strongest(np.abs(row), keep)
        best = best[row[best] != 0]
        items[item_no, : len(best)], weights[item_no, : len(best)] = known[best], row[best]
    return ItemItem(items, weights, 1.0, near)


def item_item_scores(model: ItemItem, n: int) -> Callable[[Cases], Floats]:
    """A scorer of cases by the model, (B, n)."""
    scorer = ItemScores(model, n)
    return lambda cases: np.asarray(scorer.scores(cases.users.history).numpy(), np.float32)


def item_item_judge(cases: Cases, n: int) -> Callable[[ItemItem], float]:
    """NDCG@20 over the first JUDGED cases."""
    some = next(cases.chunks(JUDGED))
    return lambda model: measure(some, item_item_scores(model, n), "valid")["valid.ndcg@20"]


class ItemScores:
    """Scores of a catalogue of n items, which may have items that are newer than the model.

    A user's scores depend on that user's history alone, to the bit: each is a sum in the order of the history.
    """

    def __init__(self, model: ItemItem, n: int) -> None:
        self.model, self.n = model, n

    def told(self, watches: int) -> Told:
        """What scoring reads of the model; watches: how many of the last ones the recent score reads."""
        return Told(self.model.items, self.model.weights, _kept(self.model.decay, WATCHES), _kept(RECENT, watches))

    def scores(self, history: Ints) -> Tensor:
        """(B, n) the weighted mean of what the newest WATCHES of each history (B, H) say."""
        newest = history[:, ::-1][:, :WATCHES]
        there = (newest >= 0) & (newest < len(self.model))
        row = np.where(there, newest, 0)
        kept = np.where(there, _kept(self.model.decay, newest.shape[1]), np.float32(0))
        kept = kept / np.maximum(kept.sum(1, keepdims=True), np.float32(1e-6))
        items = self.model.items[row]
        items = np.where(items < 0, np.int32(self.n), items).reshape(len(history), -1)
        added = (self.model.weights[row] * kept[..., None]).reshape(len(history), -1)
        sums = torch.zeros(len(history), self.n + 1)
        return sums.scatter_add_(1, torch.from_numpy(items.astype(np.int64)), torch.from_numpy(added))[:, : self.n]


def _kept(decay: float, watches: int) -> Floats:
    """(W,) the weight of each watch, the newest first."""
    return np.asarray(np.float32(decay) ** np.arange(watches, dtype=np.float32), np.float32)
