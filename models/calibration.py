"""From the ranker's logits to probabilities, where impressions tell how often what is shown is watched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from models.batches import Examples, ExampleSource, decode
from models.blend import Pool
from models.measuring import Trial
from models.types import PROFILE_FIELDS, Filters, Floats, Longs, UserBatch

TYPICAL_BEST = 3.0
"""Where the relative logit of a list's first item lies on average: shown as a score of about .95."""
MAX_SHOWN = 5_000
"""Impressions that are read: two numbers are fitted to them."""
MIN_SHOWN = 200
"""Impressions, and a tenth of them of either label, that a calibration needs."""


BINS = 10
"""Of as many impressions each, for the calibration error."""


@dataclass(frozen=True)
class Shown:
    """m impressions: logits and labels (m,), and weights (m,), for how many impressions each stands."""

    logits: Floats
    labels: Floats
    weights: Floats

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def probabilities(self) -> Floats:
        return np.asarray(1 / (1 + np.exp(-np.clip(self.logits.astype(np.float64), -60, 60))))


@torch.no_grad()
def calibrate(trial: Trial, source: ExampleSource, pool: Pool | None, context: Floats) -> bool:
    """Set ranker.calibration from the impressions of split valid; False where there are too few, or no signal.

    context (n, C): v(i), as encoding.context_vectors.

    Platt scaling (Platt, 1999): p = sigmoid(a · logit + b). The logits are those of position 0, unknown context
    included, as the service will see them. Without it the scale is left as it is and the level set so that the
    first item of a list lies at TYPICAL_BEST on average over `pool`.
    """
    ranker = trial.model.ranker
    shown = read_shown(trial, source, "valid", context)
    fitted = platt(shown.logits, shown.labels, shown.weights)
    if fitted:
        ranker.calibration.copy_(torch.tensor(fitted))
        return True
    if pool is not None and len(pool):
        scores = np.where(pool.item_no < 0, -np.inf, pool.features @ ranker.blend.numpy())
        ranker.calibration.copy_(torch.tensor([1.0, TYPICAL_BEST - float(scores.max(1).mean())]))
    return False


@torch.no_grad()
def read_shown(trial: Trial, source: ExampleSource, split: str, context: Floats) -> Shown:
    """The first MAX_SHOWN impressions of a split, with what the model would have given each at position 0.

    context (n, C): v(i) in the scale of the model's logits.
    """
    parts = []
    for shown in _impressions(trial, source, split):
        listed = trial.scorer.logit_of(*as_they_stood(trial, shown), shown.item_no.astype(np.int32))
        rows = trial.model.ranker.context_rows(*(torch.from_numpy(number) for number in contexts_of(shown)))
        added = (rows * torch.from_numpy(context[shown.item_no])).sum(1)
        parts.append((listed.astype(np.float64) + added.double().numpy(), shown.label, shown.weight))
    if not parts:
        return Shown(*(np.zeros(0, np.float32) for _ in range(3)))
    return Shown(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def calibration_error(shown: Shown, rows: Longs | None = None) -> float:
    """Expected calibration error: how far what was predicted and what was watched lie apart, over BINS bins of as many
    impressions each, weighted (Naeini, Cooper and Hauskrecht, 2015). rows: those of them that count, repeated or not.
    """
    predicted, labels, weights = shown.probabilities, shown.labels.astype(np.float64), shown.weights.astype(np.float64)
    chosen = np.arange(len(shown)) if rows is None else rows
    ordered = chosen[np.argsort(predicted[chosen], kind="stable")]
    starts = np.arange(BINS) * len(ordered) // BINS
    sums = [np.add.reduceat(values[ordered] * weights[ordered], starts) for values in (predicted, labels)]
    return float(np.abs(sums[0] - sums[1]).sum() / weights[ordered].sum())


def _impressions(trial: Trial, source: ExampleSource, split: str) -> Iterator[Examples]:
    """A batch of users at a time."""
    left, size = MAX_SHOWN, trial.settings.retrieval.batch_users
    for batch in source.batches([split]):
        whole = decode(batch, trial.model.vocabularies, trial.settings.training.history)
        shown = whole.take(whole.impression)
        shown = shown.take(slice(0, left))
        left -= len(shown)
        yield from (shown.take(slice(start, start + size)) for start in range(0, len(shown), size))


def as_they_stood(trial: Trial, examples: Examples) -> tuple[UserBatch, Filters]:
    """The users of the examples as of those moments, who may see all that they had not watched."""
    vocabularies = trial.model.vocabularies
    names = {field: [None, *vocabularies[field]] for field in PROFILE_FIELDS}
    profile = {
        field: [names[field][number] for number in examples.profile[:, place]]
        for place, field in enumerate(PROFILE_FIELDS)
    }
    users = UserBatch(examples.history, profile, examples.watches.astype(np.int32))
    offsets = np.concatenate([[0], np.cumsum((examples.history >= 0).sum(1))]).astype(np.int64)
    return users, trial.filters(users, (offsets, examples.history[examples.history >= 0]))


def contexts_of(examples: Examples) -> tuple[Longs, Longs, Longs, Longs]:
    """Page, daypart, weekday and region (m,) of the examples, as the context term reads them."""
    region = examples.profile[:, PROFILE_FIELDS.index("region")]
    return examples.page, examples.daypart, examples.weekday, region


def platt(logits: Floats, labels: Floats, weights: Floats) -> tuple[float, float] | None:
    """(a, b) of the weighted logistic regression of labels on logits; None if too little data or a ≤ 0.

    logits, labels, weights: (m,). A weight says for how many impressions a sampled one stands. Newton's method.
    """
    positives = int(labels.sum())
    if len(labels) < MIN_SHOWN or min(positives, len(labels) - positives) < MIN_SHOWN / 10:
        return None
    weights = weights.astype(np.float64) / weights.sum()
    centre, spread = float(weights @ logits), float(logits.std()) or 1.0
    x = np.stack([(logits - centre) / spread, np.ones(len(logits))], 1)
    rate = float(weights @ labels)
    w = np.array([1.0, np.log(rate / (1 - rate))])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (weights * (p - labels)) + 1e-9 * w
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        w = w - np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    a = w[0] / spread
    return (float(a), float(w[1] - a * centre)) if a > 0 else None
