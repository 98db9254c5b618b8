"""What MLflow is told of trainings and rollouts. That it cannot be reached costs neither of them anything else."""

from __future__ import annotations

import dagster as dg

from assets.failing import alert
from assets.resources import Topshelf
from conf.errors import RetryableError
from jobs import train
from jobs.alerts import Alert
from jobs.registry import Registry
from jobs.tables import EVENTS, ITEMS, TRAINING_EXAMPLES, USERS
from jobs.tracking import follow, log_training


def tracked(context: dg.AssetExecutionContext, topshelf: Topshelf, result: train.Result) -> dict[str, str]:
    """Log a training; what the asset shows of it."""
    settings, lake = topshelf.settings(), topshelf.lake()
    if not settings.tracking.enabled:
        return {}
    try:
        versions = lake.versions(ITEMS, USERS, EVENTS, TRAINING_EXAMPLES)
        run_id = log_training(settings, result.model, result.report, result.verdict, versions)
        follow(settings, Registry(lake, settings).models())
    except RetryableError as error:
        _missed(context, topshelf, error)
        return {"MLflow": str(error)}
    return {"MLflow run": run_id, "MLflow": settings.tracking_uri}


def followed(context: dg.AssetExecutionContext, topshelf: Topshelf) -> None:
    """Tell MLflow what has become of the models."""
    settings = topshelf.settings()
    if not settings.tracking.enabled:
        return
    try:
        follow(settings, Registry(topshelf.lake(), settings).models())
    except RetryableError as error:
        _missed(context, topshelf, error)


def _missed(context: dg.AssetExecutionContext, topshelf: Topshelf, error: RetryableError) -> None:
    context.log.error(str(error))
    alert(context, topshelf.settings(), Alert("tracking", str(error)))
