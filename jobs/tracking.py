"""Trainings as MLflow runs, and models as versions in its registry, beside the table models."""

from __future__ import annotations

import json
import os
import re
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from conf.errors import RetryableError
from conf.settings import Settings
from jobs.promotion import Verdict
from jobs.registry import DEPLOYED, RETIRED, Model
from models.modelfiles import MANIFEST
from models.training import TrainReport

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOGGED = ("data", "features", "training", "tower", "item_item", "ranker", "retrieval", "promotion")
CHAMPION_ALIAS, CHALLENGER_ALIAS = "champion", "challenger"
_NAME = re.compile(r"[^\w\-. /]")
_BATCH = 100
"""Parameters that MLflow takes at once."""


def log_training(
    settings: Settings, model: Model, report: TrainReport, verdict: Verdict, versions: Mapping[str, int | None]
) -> str:
    """Log a training that has ended, and register its model; returns the id of the MLflow run.

    A run has the settings as parameters, the Delta versions of what was read as tags, the hold-out's metrics, the
    learning curves by epoch, the model's manifest and how it was judged. May be repeated: a model has one version.

    Raises:
        RetryableError: MLflow cannot be reached, or refuses it.
    """
    with _client(settings) as client:
        known = _version(client, settings, model)
        if known is not None:
            return str(known.run_id)
        run_id: str = client.create_run(
            _experiment(client, settings), run_name=model.version, tags=_tags(model, verdict, versions)
        ).info.run_id
        _log(client, run_id, settings, report)
        client.log_dict(run_id, json.loads((model.folder / MANIFEST).read_text()), MANIFEST)
        client.log_dict(run_id, {"judged": verdict.text, "refused": list(verdict.reasons)}, "judgement.json")
        if settings.tracking.files:
            client.log_artifacts(run_id, str(model.folder), "model")
        client.create_model_version(
            settings.tracking.experiment, str(model.folder.resolve()), run_id, tags={"model_id": model.model_id}
        )
        client.set_terminated(run_id)
    return run_id


def follow(settings: Settings, models: Iterable[Model]) -> None:
    """Bring the registry's aliases and tags up to the statuses of `models`.

    Raises:
        RetryableError: as `log_training`.
    """
    with _client(settings) as client:
        name = settings.tracking.experiment
        for model in models:
            found = _version(client, settings, model)
            if found is None or found.tags.get("status") == model.status:
                continue
            client.set_model_version_tag(name, found.version, "status", model.status)
            alias = {DEPLOYED: CHAMPION_ALIAS, RETIRED: None}.get(model.status, CHALLENGER_ALIAS)
            for held in found.aliases:
                if held != alias:
                    client.delete_registered_model_alias(name, held)
            if alias is not None:
                client.set_registered_model_alias(name, alias, found.version)


@contextmanager
def _client(settings: Settings) -> Iterator[MlflowClient]:
    # Importing it costs a second, and only trainings and steps of a rollout need it.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # a machine may have no git
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The ``noload`` loader strategy")  # mlflow's use of SQLAlchemy
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            client = MlflowClient(settings.tracking_uri, settings.tracking_uri)
            yield client
        except MlflowException as error:
            raise RetryableError(f"MLflow at tracking.uri {settings.tracking_uri}: {error.message}") from error


def _experiment(client: MlflowClient, settings: Settings) -> str:
    name = settings.tracking.experiment
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    local = settings.tracking.uri is None
    place = (settings.home / "mlflow").resolve().as_uri() if local else None
    return str(client.create_experiment(name, artifact_location=place))


def _version(client: MlflowClient, settings: Settings, model: Model) -> Any:
    """The model's version there; None where it was never registered."""
    name = settings.tracking.experiment
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description="Two towers, item-item model and ranker of Topshelf.")
    found = client.search_model_versions(f"name = '{name}'")
    return next((each for each in found if each.tags.get("model_id") == model.model_id), None)


def _tags(model: Model, verdict: Verdict, versions: Mapping[str, int | None]) -> dict[str, str]:
    return {
        "model_id": model.model_id,
        "cut": model.cut.isoformat(),
        "sha256": model.sha256,
        "passed": str(not verdict.reasons),
        **{f"delta.{name}": str(version) for name, version in versions.items() if version is not None},
    }


def _log(client: MlflowClient, run_id: str, settings: Settings, report: TrainReport) -> None:
    from mlflow.entities import Metric, Param

    dumped = settings.model_dump(mode="json")
    params = [Param(f"{part}.{name}", str(value)) for part in LOGGED for name, value in dumped[part].items()]
    now = int(time.time() * 1000)
    metrics = [Metric(_named(name), float(value), now, 0) for name, value in report.metrics.items()]
    metrics += [Metric(_named(f"seconds.{stage}"), value, now, 0) for stage, value in report.seconds.items()]
    metrics += [
        Metric(_named(f"{stage}.{name}"), float(value), now, epoch)
        for stage, curves in report.curves.items()
        for name, values in curves.items()
        for epoch, value in enumerate(values)
    ]
    for start in range(0, max(len(metrics), len(params)), _BATCH):
        client.log_batch(run_id, metrics[start : start + _BATCH], params[start : start + _BATCH])


def _named(name: str) -> str:
    """MLflow takes no @ in a metric's name: ndcg@20 is ndcg-20 there."""
    return _NAME.sub("-", name)
