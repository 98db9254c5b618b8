"""models: train the towers and the ranker on a day's examples, measure them, register and deploy the result."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from pyspark.sql import functions as F

from conf.errors import DataError
from conf.hours import Hour
from conf.settings import Settings
from jobs import examples
from jobs.catalogue import catalogue
from jobs.example_files import StoredExamples
from jobs.lake import Lake
from jobs.tables import MODELS, TRAINING_EXAMPLES
from models.modelfiles import MANIFEST
from models.training import TrainReport, train

MODEL_NAME = "two_tower_ranker"
HEADLINE = "lists"
"""The stage whose metrics stand for the model: what users get."""


@dataclass(frozen=True)
class Model:
    """A row of the registry that can be scored with."""

    model_id: str
    version: str
    folder: Path
    cut: datetime
    metrics: dict[str, float]
    """Of the hold-out, before the last fit."""


@dataclass(frozen=True)
class Result:
    model: Model
    report: TrainReport


def run(
    lake: Lake, day: date, cut: datetime, settings: Settings, now: datetime, progress: Callable[[str], None]
) -> Result:
    """Train on the examples of `day`, which end at `cut`; register the model and deploy it.

    A training that was killed goes on from its last epoch when the examples are still the same. The model's name is
    made of its cut and its content: the same training gives the same model.
    """
    folder = settings.models_path / f"training-{cut:%Y%m%dT%H}-{_digest(lake, day)}"
    for abandoned in settings.models_path.glob("training-*"):
        if abandoned != folder:
            shutil.rmtree(abandoned)
    folder.mkdir(parents=True, exist_ok=True)
    report = train(
        StoredExamples(lake.path(TRAINING_EXAMPLES), day),
        catalogue(lake),
        examples.holdout(lake, cut, settings),
        settings,
        folder,
        lambda stage, epoch, said: progress(
            f"{stage}, epoch {epoch}: " + ", ".join(f"{name} {value:.4f}" for name, value in said.items())
        ),
    )
    model_id = f"{cut:%Y%m%dT%H}-{report.sha256[:8]}"
    final = settings.models_path / model_id
    if final.exists():
        shutil.rmtree(folder)
    else:
        folder.rename(final)
    return Result(_register(lake, model_id, report.sha256, cut, report, settings, now), report)


def _digest(lake: Lake, day: date) -> str:
    """Of the day's examples, whatever files they lie in."""
    rows = lake.read(TRAINING_EXAMPLES).where(F.col("day") == day)
    columns = ("example_id", "label", "weight", "split", "history")
    total = rows.agg(F.bit_xor(F.xxhash64(*columns)).alias("digest")).first()
    assert total is not None
    return f"{(total['digest'] or 0) & (2**64 - 1):016x}"


def _register(
    lake: Lake, model_id: str, digest: str, cut: datetime, report: TrainReport, settings: Settings, now: datetime
) -> Model:
    """Deploy the model and retire those before it, in one commit."""
    known = lake.read(MODELS)
    rows = known.select("model_id", "version").collect()
    version = next((row["version"] for row in rows if row["model_id"] == model_id), f"v{len(rows) + 1}")
    metrics = {name: float(value) for name, value in sorted(report.metrics.items())}
    deployed = lake.spark.createDataFrame(
        [
            (
                model_id,
                MODEL_NAME,
                version,
                metrics.get(f"{HEADLINE}.ndcg@20"),
                metrics.get(f"{HEADLINE}.recall@20"),
                None,
                model_id,
                digest,
                "deployed",
                now,
                100,
                metrics,
                cut,
                now,
            )
        ],
        MODELS.schema,
    )
    retired = known.where((F.col("status") == "deployed") & (F.col("model_id") != model_id)).withColumns(
        {"status": F.lit("retired"), "traffic_percent": F.lit(0)}
    )
    lake.upsert(MODELS, deployed.unionByName(retired))
    return Model(model_id, version, settings.models_path / model_id, cut, metrics)


def deployed(lake: Lake, settings: Settings) -> Model | None:
    """The deployed model; None where there is none, or its files are gone."""
    row = lake.read(MODELS).where(F.col("status") == "deployed").orderBy(F.desc("deployed_at")).first()
    if row is None:
        return None
    folder = settings.models_path / row["artifact_path"]
    manifest = folder / MANIFEST
    if not manifest.exists() or sha256(manifest.read_bytes()).hexdigest() != row["sha256"]:
        return None
    return Model(row["model_id"], row["version"], folder, _utc(row["cut"]), dict(row["metrics"]))


def _utc(moment: datetime) -> datetime:
    """Spark gives times without a zone, in the session's, which is UTC."""
    return moment.replace(tzinfo=UTC)


def need_deployed(lake: Lake, settings: Settings) -> Model:
    """The deployed model.

    Raises:
        DataError: there is none, or its files are gone or changed.
    """
    model = deployed(lake, settings)
    if model is None:
        raise DataError(f"no deployed model with its files in {settings.models_path}: train one with the job `daily`")
    return model


def is_due(model: Model | None, hour: Hour, settings: Settings) -> bool:
    """Whether an hour should train first: there is no model, or it is too old, or it has seen later hours."""
    if model is None:
        return True
    age = hour.end - model.cut
    return age < timedelta(0) or age > timedelta(hours=settings.training.max_model_age_hours)
