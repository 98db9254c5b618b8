"""The registry of models, the table models, and the history of how each came to users, the table rollouts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf.errors import DataError
from conf.hours import Hour
from conf.settings import Settings
from jobs.lake import Lake
from jobs.manifests import Built, has_later
from jobs.tables import MODELS, ROLLOUTS
from models.modelfiles import MANIFEST
from stores.control import Control
from stores.rollout import ABORTED

MODEL_NAME = "two_tower_ranker"
HEADLINE = "lists"
"""The stage whose metrics stand for the model: what users get."""
TRAINING, VALIDATING, DEPLOYED, RETIRED = "training", "validating", "deployed", "retired"


@dataclass(frozen=True)
class Model:
    """A row of the registry."""

    model_id: str
    version: str
    folder: Path
    cut: datetime
    metrics: dict[str, float]
    """Of the hold-out, before the last fit."""
    sha256: str
    status: str = DEPLOYED

    def intact(self) -> bool:
        """Whether its files are there, as far as their manifest tells; `models.modelfiles.load_model` looks at all."""
        manifest = self.folder / MANIFEST
        return manifest.exists() and sha256(manifest.read_bytes()).hexdigest() == self.sha256


class Registry:
    """Reads and changes the two tables. Few rows: one a training, and one for each that happens to it."""

    def __init__(self, lake: Lake, settings: Settings) -> None:
        self._lake, self._settings = lake, settings

    def models(self, *statuses: str) -> list[Model]:
        """Those of these statuses, or all whose training has ended; the newest first."""
        rows = self._lake.read(MODELS)
        rows = rows.where(F.col("status").isin(*statuses) if statuses else F.col("status") != TRAINING)
        # Sorted here: a sort in Spark would be two jobs more for a handful of rows.
        found = sorted(rows.collect(), key=lambda row: (row["created_at"], row["version"]), reverse=True)
        return [self._model(row.asDict()) for row in found]

    def deployed(self) -> Model | None:
        """The deployed model; None where there is none, or its files are gone."""
        rows = self._lake.read(MODELS).where(F.col("status") == DEPLOYED).orderBy(F.desc("deployed_at")).limit(1)
        found = [self._model(row.asDict()) for row in rows.collect()]
        return found[0] if found and found[0].intact() else None

    def need_deployed(self) -> Model:
        """The deployed model.

        Raises:
            DataError: there is none, or its files are gone or changed.
        """
        model = self.deployed()
        if model is None:
            raise DataError(
                f"no deployed model with its files in {self._settings.models_path}: train one with the job `daily`"
            )
        return model

    def tried(self, control: Control | None) -> Model | None:
        """The model of the rollout that is under way, if its files are there.

        None for one that is deployed: its lists are the champion's from the next publication on.
        """
        rollout = None if control is None else control.rollout
        if rollout is None or rollout.state == ABORTED:
            return None
        found = self.find(rollout.model_id)
        return found if found is not None and found.status != DEPLOYED and found.intact() else None

    def of_hour(
        self, control: Control | None, hour: Hour, built: Built | None, republish: bool
    ) -> tuple[Model, Model | None]:
        """The model and the challenger that an hour is to be made with: those deployed and tried now.

        Of an hour earlier than what readers have, those that it was made with, as `built` tells; where the first of
        them has no files any more, the deployed one.

        Raises:
            DataError: as `need_deployed`.
        """
        if control is None or built is None or republish or not has_later(control, hour):
            return self.need_deployed(), self.tried(control)
        model, other = self.find(built.model_id), built.challenger
        if model is None or not model.intact():
            return self.need_deployed(), None
        challenger = None if other is None else self.find(other.model_id)
        return model, challenger if challenger is not None and challenger.intact() else None

    def find(self, model_id: str) -> Model | None:
        """The model of this id; None where none has it."""
        return next((model for model in self.models() if model.model_id == model_id), None)

    def begin_training(self, name: str, cut: datetime, now: datetime) -> None:
        """Show that a model is being trained, under the name of its folder."""
        version = f"v{len(self.models()) + 1}"
        row: tuple[Any, ...] = (name, MODEL_NAME, version, None, None, None, name, "", TRAINING, None, 0, {}, cut, now)
        self.end_training()
        self._lake.append(MODELS, self._lake.spark.createDataFrame([row], MODELS.schema))

    def end_training(self) -> None:
        """Take out what `begin_training` shows, also of trainings that were killed."""
        if self._lake.exists(MODELS):
            self._lake.delete(MODELS, F.col("status") == TRAINING)

    def add(self, model: Model, created: datetime, note: str) -> Model:
        """Enter a trained model as `validating`, under its version: that of the same model before, or the next."""
        known = self.models()
        before = next((each for each in known if each.model_id == model.model_id), None)
        version = f"v{len(known) + 1}" if before is None else before.version
        entered = Model(model.model_id, version, model.folder, model.cut, model.metrics, model.sha256, VALIDATING)
        row = (
            entered.model_id,
            MODEL_NAME,
            version,
            model.metrics.get(f"{HEADLINE}.ndcg@20"),
            model.metrics.get(f"{HEADLINE}.recall@20"),
            None,
            entered.model_id,
            model.sha256,
            VALIDATING,
            None,
            0,
            model.metrics,
            model.cut,
            created,
        )
        self.end_training()
        self._lake.upsert(MODELS, self._lake.spark.createDataFrame([row], MODELS.schema))
        self.note(entered, VALIDATING, 0, created, note)
        return entered

    def deploy(self, model: Model, now: datetime, note: str) -> None:
        """Everybody is to be served `model` from the next publication on; the one before it is retired."""
        others = (F.col("status") == DEPLOYED) & (F.col("model_id") != model.model_id)
        before = [each for each in self.models(DEPLOYED) if each.model_id != model.model_id]
        new = self._of(model).withColumns(
            {"status": F.lit(DEPLOYED), "traffic_percent": F.lit(100), "deployed_at": F.lit(now)}
        )
        old = self._lake.read(MODELS).where(others).withColumns({"status": F.lit(RETIRED), "traffic_percent": F.lit(0)})
        self._lake.upsert(MODELS, new.unionByName(old))
        self.note(model, DEPLOYED, 100, now, note)
        for each in before:
            self.note(each, RETIRED, 0, now, f"{model.version} took its place")

    def retire(self, model: Model, now: datetime, note: str, evidence: Mapping[str, Any] | None = None) -> None:
        """The model is not to be served."""
        changed = self._of(model).withColumns({"status": F.lit(RETIRED), "traffic_percent": F.lit(0)})
        self._lake.upsert(MODELS, changed)
        self.note(model, RETIRED, 0, now, note, evidence)

    def serves(
        self, model: Model, percent: int, state: str, now: datetime, note: str, evidence: Mapping[str, Any]
    ) -> None:
        """Note the share of users that a model in validation is served to."""
        self._lake.upsert(MODELS, self._of(model).withColumn("traffic_percent", F.lit(percent)))
        self.note(model, state, percent, now, note, evidence)

    def note(
        self,
        model: Model,
        state: str,
        percent: int,
        now: datetime,
        note: str,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        """Add to the history of rollouts."""
        row = (model.model_id, model.version, state, percent, note, json.dumps(evidence or {}, sort_keys=True), now)
        self._lake.append(ROLLOUTS, self._lake.spark.createDataFrame([row], ROLLOUTS.schema))

    def _of(self, model: Model) -> DataFrame:
        return self._lake.read(MODELS).where(F.col("model_id") == model.model_id)

    def _model(self, row: Mapping[str, Any]) -> Model:
        folder = self._settings.models_path / row["artifact_path"]
        # Spark gives times without a zone, in the session's, which is UTC.
        cut = row["cut"].replace(tzinfo=UTC)
        return Model(row["model_id"], row["version"], folder, cut, dict(row["metrics"]), row["sha256"], row["status"])
