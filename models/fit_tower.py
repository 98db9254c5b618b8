"""Training of the towers: softmax over shared negatives, in-batch and uniform, corrected for how often they come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from conf.settings import Settings
from models.batches import Examples, ExampleSource, Survey, profile_numbers, stream
from models.encoding import Catalogue, tower_items
from models.evaluation import Cases, measure
from models.fitting import Fitted, Plan, Report, fit
from models.metrics import KS
from models.tower import TowerShape, TwoTower, bags_of
from models.types import PROFILE_FIELDS, Floats, Ints, Longs

HISTORY_DROPOUT = 0.3
"""Share of the watches left out of a training history, so that no single one decides."""
VALID_MEASURE = f"valid.ndcg@{KS[1]}"


@dataclass(frozen=True)
class TowerRun:
    """One fit: on which splits, and for how many epochs. `cases` None: no early stopping."""

    source: ExampleSource
    splits: Collection[str]
    survey: Survey
    catalogue: Catalogue
    cases: Cases | None
    epochs: int | None
    folder: Path
    fingerprint: str


def new_tower(settings: Settings, survey: Survey, items: int, tokens: int) -> TwoTower:
    """An untrained tower; the same settings and data give the same weights."""
    shape = TowerShape(
        items,
        tokens,
        tuple(len(survey.vocabularies[name]) for name in PROFILE_FIELDS),
        settings.tower.dim,
        settings.tower.hidden,
        settings.tower.dropout,
    )
    torch.manual_seed(settings.seed)
    return TwoTower(shape)


def passes_and_steps(settings: Settings, positives: int) -> tuple[int, int]:
    """Passes over the examples in an epoch, and steps of all epochs: small data gets more passes, for min_steps."""
    tower = settings.tower
    per_pass = max(1, -(-min(positives, tower.examples_per_epoch) // tower.batch))
    passes = max(1, -(-tower.min_steps // (per_pass * tower.epochs)))
    return passes, passes * per_pass * tower.epochs


def fit_tower(tower: TwoTower, run: TowerRun, settings: Settings, report: Report) -> Fitted:
    """Train `tower` in place; afterwards it holds the best weights of the run."""
    passes, steps = passes_and_steps(settings, run.survey.positive_examples)
    plan = Plan(
        stage="tower" if run.cases else "tower.final",
        steps=steps,
        stop=run.epochs if run.epochs is not None else settings.tower.epochs,
        patience=settings.tower.patience,
        learning_rate=settings.tower.learning_rate,
    )
    optimiser = torch.optim.AdamW(tower.parameters(), lr=0, weight_decay=settings.tower.weight_decay)
    step = TowerStep(tower, run.catalogue, run.survey.positives, settings)

    def losses(epoch: int) -> Iterator[Tensor]:
        rng = np.random.default_rng([settings.seed, 1, epoch])
        limit = settings.tower.examples_per_epoch
        for number in range(epoch * passes, (epoch + 1) * passes):
            batches = stream(
                run.source,
                run.splits,
                run.survey.vocabularies,
                settings.training.history,
                settings.tower.batch,
                [settings.seed, 2, number],
                positives_only=True,
                limit=limit,
                skip=number * limit % max(run.survey.positive_examples, 1),
            )
            yield from (step.loss(batch, rng) for batch in batches)

    validate: Callable[[], float] | None = None
    if run.cases is not None and len(run.cases):
        cases = run.cases

        def validate() -> float:
            return measure(cases, dot_scores(tower, run.catalogue, run.survey.vocabularies), "valid")[VALID_MEASURE]

    return fit(tower, optimiser, plan, losses, validate, run.folder, run.fingerprint, settings.seed, report)


class TowerStep:
    """The loss of one batch."""

    def __init__(self, tower: TwoTower, catalogue: Catalogue, positives: Longs, settings: Settings) -> None:
        self.tower, self.catalogue, self.settings = tower, catalogue, settings
        self.device = tower.log_scale.device
        self.share = positives / max(int(positives.sum()), 1)
        self.place = np.full(len(catalogue), -1, np.int64)

    def loss(self, batch: Examples, rng: np.random.Generator) -> Tensor:
        """Mean over the batch of the cross-entropy of the watched item among the pool.

        The pool holds the batch's items and settings.tower.negatives uniform ones, each once; the logit of an item
        other than the target is lowered by the log of its chance to be in the pool, which makes the sum over the
        pool an unbiased guess of the sum over the catalogue (Bengio and Senécal, 2008; Yi et al., 2019).
        """
        n = len(self.catalogue)
        uniform = min(self.settings.tower.negatives, n)
        pool = np.unique(np.concatenate([batch.item_no, rng.integers(0, n, uniform)]))
        history = thinned(batch.history, rng)
        inputs = self.inputs(np.concatenate([history.ravel(), pool]), rng)
        rows = torch.from_numpy(np.where(history >= 0, self.place[history], -1)).to(self.device)
        users = self.tower.users(inputs, rows, self._to(batch.profile), self._to(batch.watches))
        logits = users @ self.tower.items(inputs[self._to(self.place[pool])]).T
        chance = 1 - np.exp(-(len(batch) * self.share[pool] + uniform / n))
        log_chance = self._to(np.log(np.maximum(chance, 1e-9)).astype(np.float32))
        target = self._to(np.searchsorted(pool, batch.item_no))
        logits = (logits - log_chance).scatter_add(1, target[:, None], log_chance[target][:, None])
        weight = self._to(batch.weight)
        losses = F.cross_entropy(logits, target, reduction="none")
        return (losses * weight).sum() / weight.sum().clamp(min=1e-6)

    def inputs(self, wanted: Longs, rng: np.random.Generator) -> Tensor:
        """Input vectors of the distinct items wanted; self.place then holds the row of each."""
        distinct = np.unique(wanted)
        distinct = distinct[distinct >= 0]
        self.place[distinct] = np.arange(len(distinct))
        keep = (rng.random(len(distinct)) >= self.settings.tower.id_dropout).astype(np.float32)
        ids, offsets = bags_of(self.catalogue.bags, distinct)
        return self.tower.item_inputs(*(self._to(array) for array in (distinct, ids, offsets, keep)))

    def _to(self, array: Longs | Floats | Ints) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def thinned(history: Ints, rng: np.random.Generator) -> Ints:
    """(m, ≤ H) the histories with a random HISTORY_DROPOUT of the watches left out, moved together to the right."""
    gone = (rng.random(history.shape) < HISTORY_DROPOUT) | (history < 0)
    order = np.argsort(~gone, axis=1, kind="stable")
    longest = max(1, int((~gone).sum(1).max(initial=0)))
    return np.where(np.take_along_axis(gone, order, 1), -1, np.take_along_axis(history, order, 1))[:, -longest:]


def dot_scores(tower: TwoTower, catalogue: Catalogue, vocabularies: dict[str, list[str]]) -> Callable[[Cases], Floats]:
    """A scorer of cases by the towers' inner product with every item, (B, n)."""
    inputs, vectors = tower_items(tower, catalogue)

    def score(cases: Cases) -> Floats:
        return (user_vectors(tower, inputs, cases, vocabularies) @ vectors.T).cpu().numpy()

    return score


@torch.no_grad()
def user_vectors(tower: TwoTower, inputs: Tensor, cases: Cases, vocabularies: dict[str, list[str]]) -> Tensor:
    """(B, d) vectors of the cases' users; inputs (n, d) of all items."""
    users, device = cases.users, inputs.device
    return tower.users(
        inputs,
        torch.from_numpy(users.history.astype(np.int64)).to(device),
        torch.from_numpy(profile_numbers(users.profile, vocabularies)).to(device),
        torch.from_numpy(users.watches).to(device),
    )
