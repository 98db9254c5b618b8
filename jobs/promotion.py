"""Whether a model that was just trained may be served, judged beside the one that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

from conf.errors import DataError
from conf.settings import Settings
from jobs.gate import Check
from jobs.registry import HEADLINE, Model
from models import promotion
from models.batches import ExampleSource
from models.calibration import read_shown
from models.measuring import Trial
from models.modelfiles import encode_items, load_model
from models.promotion import Finding
from models.training import TrainReport

COMPARED = tuple(f"{HEADLINE}.{measure}@20" for measure in ("recall", "ndcg", "mrr"))
CHECK = {"metric_gate": "Whether the new model does as well as the one that serves; else that one goes on"}


@dataclass(frozen=True)
class Verdict:
    """reasons: why the model is refused, none if it passed; text: how it was judged."""

    reasons: tuple[str, ...]
    text: str
    findings: Sequence[Finding] = ()

    @property
    def check(self) -> Check:
        """CHECK: how many of the limits the model breaks, of which none may be broken."""
        (name,) = CHECK
        return Check(name, not self.reasons, float(len(self.reasons)), 0.0, "; ".join(self.reasons) or self.text)


def judge(
    champion: Model | None,
    challenger: Model,
    report: TrainReport,
    items: pa.Table,
    source: ExampleSource,
    settings: Settings,
) -> Verdict:
    """Compare the two on the challenger's hold-out, or where the champion has learnt from that, by what was measured
    of the champion on its own.

    The challenger is measured as it was before its last fit, without the hold-out and the validation before it, the
    champion as it serves. That is to the champion's advantage.
    """
    if champion is None:
        return Verdict((), "there is no other model to compare it with")
    if not len(report.held.cases):
        return Verdict((), "nothing was held out to compare it on")
    if settings.data.profile != "live" or champion.cut > challenger.cut - timedelta(days=1):
        return _by_record(champion, challenger, settings)
    try:
        model = load_model(champion.folder)
    except DataError as error:
        return Verdict((), f"{champion.version} cannot be compared with: {error}")
    encoded = encode_items(model, items)
    trial, limits = Trial(model, encoded, items, settings), settings.promotion
    ranked = trial.ranked(report.held.cases)
    findings = promotion.compare(ranked, report.held, limits.max_drop, limits.tolerance, limits.min_users)
    if model.calibrated and report.held.shown is not None:
        shown = read_shown(trial, source, "holdout", encoded.context)
        findings += promotion.compare_calibration(shown, report.held.shown, limits.tolerance)
    return Verdict(
        tuple(promotion.refused(findings)), f"beside {champion.version} on {len(ranked):,} held-out users", findings
    )


def _by_record(champion: Model, challenger: Model, settings: Settings) -> Verdict:
    least = 1 - settings.promotion.max_drop
    reasons = [
        f"{name}: {challenger.metrics[name]:.4f} instead of {champion.metrics[name]:.4f}"
        for name in COMPARED
        if name in champion.metrics and challenger.metrics.get(name, 0.0) < least * champion.metrics[name]
    ]
    return Verdict(tuple(reasons), f"beside what was measured of {champion.version} when it was trained")
