"""From the ranker's logits to probabilities, where impressions tell how often what is shown is watched."""

from __future__ import annotations

import numpy as np
import torch

from conf.settings import Settings
from models.batches import stream
from models.fit_ranker import Judge, RankerRun, RankerStep
from models.ranker import Ranker
from models.types import Floats

TYPICAL_BEST = 3.0
"""Where the relative logit of a list's first item lies on average: shown as a score of about .95."""
MIN_SHOWN = 200
"""Impressions, and a tenth of them of either label, that a calibration needs."""


@torch.no_grad()
def calibrate(ranker: Ranker, run: RankerRun, settings: Settings) -> bool:
    """Set ranker.calibration from the impressions of split valid; False where there are too few, or no signal.

    Platt scaling (Platt, 1999): p = sigmoid(a · logit + b). The logits are those of position 0, unknown context
    included, as the service will see them. Without it the scale is left as it is and the level set so that the
    first item of a list lies at TYPICAL_BEST.
    """
    step = RankerStep(ranker.eval(), run, settings)
    logits, labels, weights = [], [], []
    size, history = settings.ranker.batch, settings.training.history
    for batch in stream(run.source, ["valid"], run.survey.vocabularies, history, size, [settings.seed, 5],
                        limit=settings.ranker.examples_per_epoch):  # fmt: skip
        shown = batch.take(batch.impression)
        if len(shown):
            side = step.side.take(torch.from_numpy(shown.item_no[:, None]))
            deep = ranker.deep(step.user_side(shown), side) + step.context(shown, side)
            logits.append(deep[:, 0].double().cpu().numpy())
            labels.append(shown.label)
            weights.append(shown.weight)
    fitted = platt(*(np.concatenate(parts) for parts in (logits, labels, weights))) if logits else None
    if fitted:
        ranker.calibration.copy_(torch.tensor(fitted))
        return True
    if run.cases is not None and len(run.cases):
        best = Judge(step, run.cases, run.survey.vocabularies).typical_best()
        ranker.calibration.copy_(torch.tensor([1.0, TYPICAL_BEST - best]))
    return False


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
