"""models: train the towers and the ranker on a day's examples, measure them, register and judge the result."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pyspark.sql import functions as F

from conf.hours import Hour
from conf.settings import Settings
from jobs import examples
from jobs.catalogue import catalogue
from jobs.example_files import StoredExamples
from jobs.lake import Lake
from jobs.promotion import Verdict, judge
from jobs.registry import VALIDATING, Model, Registry
from jobs.tables import TRAINING_EXAMPLES
from models.modelfiles import is_whole
from models.training import TrainReport, train


@dataclass(frozen=True)
class Result:
    model: Model
    report: TrainReport
    verdict: Verdict


def run(
    lake: Lake, day: date, cut: datetime, settings: Settings, now: datetime, progress: Callable[[str], None]
) -> Result:
    """Train on the examples of `day`, which end at `cut`, and register the model.

    The first one is deployed. A later one is refused where it does worse than the one that serves; else a rollout
    brings it to users step by step, or of finished records it is deployed at once.

    A training that was killed goes on from its last epoch when the examples are still the same. The model's name is
    made of its cut and its content: the same training gives the same model.
    """
    folder = settings.models_path / f"training-{cut:%Y%m%dT%H}-{_digest(lake, day)}"
    for abandoned in settings.models_path.glob("training-*"):
        if abandoned != folder:
            shutil.rmtree(abandoned)
    folder.mkdir(parents=True, exist_ok=True)
    registry, items = Registry(lake, settings), catalogue(lake)
    registry.begin_training(folder.name, cut, now)
    source = StoredExamples(lake.path(TRAINING_EXAMPLES), day)
    report = train(
        source,
        items,
        examples.holdout(lake, cut, settings),
        settings,
        folder,
        lambda stage, epoch, said: progress(
            f"{stage}, epoch {epoch}: " + ", ".join(f"{name} {value:.4f}" for name, value in said.items())
        ),
    )
    model_id = f"{cut:%Y%m%dT%H}-{report.sha256[:8]}"
    final = settings.models_path / model_id
    if is_whole(final):
        shutil.rmtree(folder)
    else:
        shutil.rmtree(final, ignore_errors=True)  # a file of it was lost or damaged
        folder.rename(final)
    metrics = {name: float(value) for name, value in sorted(report.metrics.items())}
    champion = registry.deployed()
    known = registry.find(model_id)
    # What was refused, taken back or is being tried stays so. Without a champion, an entry that was begun is ended.
    if known is not None and (champion is not None or known.status != VALIDATING):
        registry.end_training()
        return Result(known, report, Verdict((), f"it was trained before and is {known.status}"))
    trained = Model(model_id, "", final, cut, metrics, report.sha256)
    model = registry.add(trained, now, f"trained on events before {cut:%Y-%m-%d %H:%M}")
    verdict = judge(champion, model, report, items, source, settings)
    if verdict.reasons:
        registry.retire(model, now, "refused: " + "; ".join(verdict.reasons), _evidence(verdict))
    elif champion is None or not settings.rollout.steps or settings.data.profile == "historical":
        registry.deploy(model, now, f"passed: {verdict.text}")
    else:
        registry.note(model, VALIDATING, 0, now, f"passed: {verdict.text}", _evidence(verdict))
    return Result(model, report, verdict)


def _evidence(verdict: Verdict) -> dict[str, list[float]]:
    return {f"{one.measure} of {one.segment}": [one.champion, one.challenger] for one in verdict.findings}


def _digest(lake: Lake, day: date) -> str:
    """Of the day's examples, whatever files they lie in."""
    rows = lake.read(TRAINING_EXAMPLES).where(F.col("day") == day)
    columns = ("example_id", "label", "weight", "split", "history")
    total = rows.agg(F.bit_xor(F.xxhash64(*columns)).alias("digest")).first()
    assert total is not None
    return f"{(total['digest'] or 0) & (2**64 - 1):016x}"


def is_due(newest: Model | None, hour: Hour, settings: Settings) -> bool:
    """Whether an hour should train first: there is no model, or the newest is too old, or has seen later hours."""
    if newest is None:
        return True
    age = hour.end - newest.cut
    return age < timedelta(0) or age > timedelta(hours=settings.training.max_model_age_hours)
