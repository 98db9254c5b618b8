"""Where items that nobody watched are placed: by what the vectors of the others owe to their content.

A ridge regression of the trained item vectors on content tokens, after Gantner et al., "Learning Attribute-to-Feature
Mappings for Cold-Start Recommendations", 2010. The towers' own token table is no such thing: it was learnt beside ids,
and says what ids leave to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from models.content import Bags
from models.encoding import Catalogue, tower_items
from models.evaluation import Cases, Flat, mask, top_items
from models.fit_tower import user_vectors
from models.metrics import summary
from models.sparse import Sparse
from models.tower import TwoTower
from models.types import Bools, Floats, Longs

PENALTIES = (1.0, 3.0, 10.0)
RARITIES = (0.0, 1.0)
"""What validation chooses from: the ridge penalty, and the power of its inverse document frequency with which a token
enters."""
TRUST = 5.0
"""An item weighs positives / (positives + TRUST): the vectors of few watches are half chance."""
LEFT_OUT = 5
"""One in so many watched items is left out, as if it was new, to choose by: each part of them in its turn."""
ENOUGH = 100_000
"""Watched items beyond which one part tells enough; with a half of it two parts are left out, and so on."""
JUDGED = 2000
"""Validation users, at most, that choose."""
TOLERANCE, MAX_STEPS = 1e-3, 200
"""The regression is solved to this share of the right-hand side, in at most so many steps."""


@dataclass(frozen=True)
class Placed:
    """penalty and rarity, and NDCG@20 among left-out items of each pair that was tried, as "penalty 3 rarity 1"."""

    penalty: float
    rarity: float
    tried: dict[str, float]


@torch.no_grad()
def place_by_content(
    tower: TwoTower,
    catalogue: Catalogue,
    positives: Longs,
    cases: Cases | None,
    vocabularies: dict[str, list[str]],
    seed: int,
    found: Placed | None,
) -> Placed:
    """Refit the content tokens of a trained tower, in place: watched items stay where they are, others move.

    positives (n,) of each item; cases: users who choose, by how well items are ranked for them that were left out;
    with `found`, or without such users, nothing is tried. The same input and thread count give the same bytes.
    """
    inputs, vectors = tower_items(tower, catalogue)
    regression = Regression(catalogue.bags, tower.shape.tokens, vectors.cpu(), positives)
    if found is None:
        found = _chosen(regression, positives, seed, *_judges(tower, inputs, cases, vocabularies))
    if tower.shape.tokens and positives.any():
        own = tower.ids.weight.any(1)
        tower.tokens.weight.copy_(regression.tokens(found.penalty, found.rarity, positives > 0))
        ids, offsets = (torch.from_numpy(a).to(inputs.device) for a in (catalogue.bags.ids, catalogue.bags.offsets))
        tower.ids.weight.copy_((inputs - tower.tokens(ids, offsets[:-1])) * own[:, None])
    return found


class Regression:
    """Of item vectors (n, d) on their bags of tokens, each a mean of what its tokens say."""

    def __init__(self, bags: Bags, tokens: int, vectors: Tensor, positives: Longs) -> None:
        self.bags, self.count, self.vectors = bags, tokens, vectors
        self.weight = positives / (positives + TRUST)
        self.lengths = np.diff(bags.offsets)
        self.owner = np.repeat(np.arange(len(bags), dtype=np.int64), self.lengths)
        self.by_token = np.argsort(bags.ids, kind="stable")

    def tokens(self, penalty: float, rarity: float, learnt: Bools) -> Tensor:
        """(T, d) of which the means over bags are the vectors foretold; from the items `learnt` (n,) alone."""
        weight = np.where(learnt, self.weight, 0)
        weight = np.sqrt(weight / max(weight[learnt].mean(), 1e-9)).astype(np.float32)
        scale = self._scale(rarity, learnt)
        rows, columns = self._matrix(scale, weight)
        root = torch.from_numpy(weight)[:, None]
        middle = (root**2 * self.vectors).sum(0) / (root**2).sum().clamp(min=1e-9)
        solved = ridge(rows, columns, penalty, root * (self.vectors - middle))
        return middle + torch.from_numpy(scale)[:, None] * solved

    def place(self, tokens: Tensor, items: Longs) -> Tensor:
        """(m, d) vectors of some items by `tokens` (T, d)."""
        means = Sparse.of(self.lengths, self.bags.ids, (1 / self.lengths[self.owner]).astype(np.float32)) @ tokens
        return means[torch.from_numpy(items)]

    def _scale(self, rarity: float, learnt: Bools) -> Floats:
        """(T,) by which a token enters, such that a bag's length is 1 on average."""
        having = np.bincount(self.bags.ids[learnt[self.owner]], minlength=self.count)
        scale = np.log(len(self.bags) / np.maximum(having, 1)) ** rarity
        squares = (scale[self.bags.ids] / self.lengths[self.owner]) ** 2
        return np.asarray(scale / np.sqrt(max(squares.sum() / len(self.bags), 1e-9)), np.float32)

    def _matrix(self, scale: Floats, weight: Floats) -> tuple[Sparse, Sparse]:
        """The weighted matrix items × tokens, and its transpose."""
        values: Floats = (scale[self.bags.ids] * weight[self.owner] / self.lengths[self.owner]).astype(np.float32)
        counts = np.bincount(self.bags.ids, minlength=self.count)
        return (
            Sparse.of(self.lengths, self.bags.ids, values),
            Sparse.of(counts, self.owner[self.by_token], values[self.by_token]),
        )


def ridge(rows: Sparse, columns: Sparse, penalty: float, targets: Tensor) -> Tensor:
    """(T, d) weights W that minimise |targets - X W|² + penalty |W|², X (n, T) given by its rows and its columns.

    By conjugate gradients with the diagonal as preconditioner, one series for each of the d targets (n, d).
    """
    right = columns @ targets
    squares = Sparse(columns.offsets, columns.columns, columns.values**2)
    diagonal = squares @ torch.ones(len(targets), 1) + penalty
    solved, residual = torch.zeros_like(right), right.clone()
    direction = residual / diagonal
    size = (residual * direction).sum(0)
    for _ in range(MAX_STEPS):
        if residual.norm() <= TOLERANCE * right.norm():
            break
        image = columns @ (rows @ direction) + penalty * direction
        step = size / (direction * image).sum(0).clamp(min=1e-20)
        solved += step * direction
        residual -= step * image
        better = residual / diagonal
        before, size = size, (residual * better).sum(0)
        direction = better + size / before.clamp(min=1e-20) * direction
    return solved


def _judges(
    tower: TwoTower, inputs: Tensor, cases: Cases | None, vocabularies: dict[str, list[str]]
) -> tuple[Cases | None, Tensor]:
    """The users who choose, and their vectors (B, d)."""
    if cases is None or not len(cases):
        return None, torch.zeros(0, inputs.shape[1])
    some = next(cases.chunks(JUDGED))
    return some, user_vectors(tower, inputs, some, vocabularies).cpu()


def _chosen(regression: Regression, positives: Longs, seed: int, cases: Cases | None, users: Tensor) -> Placed:
    """What ranks items best, for the users (B, d) of cases, that the regression was fitted without."""
    watched = np.random.default_rng([seed, 6]).permutation(np.flatnonzero(positives))
    if cases is None or len(watched) < LEFT_OUT or not regression.count:
        return Placed(PENALTIES[0], RARITIES[0], {})
    parts = np.array_split(watched, LEFT_OUT)[: max(1, ENOUGH // len(watched))]
    tried = {}
    for penalty, rarity in product(PENALTIES, RARITIES):
        found = [_judged(regression, positives, np.sort(left), penalty, rarity, cases, users) for left in parts]
        tried[(penalty, rarity)] = float(np.mean(found))
    penalty, rarity = max(tried, key=lambda pair: tried[pair])
    return Placed(penalty, rarity, {f"penalty {p:g} rarity {r:g}": value for (p, r), value in tried.items()})


def _judged(
    regression: Regression, positives: Longs, left: Longs, penalty: float, rarity: float, cases: Cases, users: Tensor
) -> float:
    """NDCG@20 of the order of the items `left` (m,) ascending, for users who watched any of them."""
    learnt = positives > 0
    learnt[left] = False
    placed = regression.place(regression.tokens(penalty, rarity, learnt), left)
    scores = mask(np.asarray((users @ placed.T).numpy(), np.float32), _among(cases.seen, left, len(positives)))
    return summary(top_items(scores), _among(cases.relevant, left, len(positives)), "left")["left.ndcg@20"]


def _among(flat: Flat, items: Longs, n: int) -> Flat:
    """A Flat of item_no as one of places in `items` (m,) ascending, without the others."""
    place = np.full(n, -1, np.int32)
    place[items] = np.arange(len(items), dtype=np.int32)
    offsets, values = flat
    kept = place[values] >= 0
    before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    return before[offsets], place[values[kept]]
