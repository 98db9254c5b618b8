"""Assets, jobs and schedules for given settings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import dagster as dg

from assets.arrivals import ingest, take_in
from assets.events import events_asset
from assets.imported import imported_assets
from assets.item_features import item_features_asset
from assets.models import models_asset
from assets.outcomes import outcomes_asset
from assets.partitions import AN_HOUR_A_RUN, Partitions, partitions
from assets.popularity import popularity_asset
from assets.published import published_asset
from assets.recommendations import recommendations_asset
from assets.resources import Topshelf
from assets.rollout import rollout_asset
from assets.served import served_asset
from assets.serving_artefact import serving_artefact_asset
from assets.training_examples import training_examples_asset
from assets.upkeep import upkeep_asset
from assets.user_features import user_features_asset
from conf.hours import DAY_FORMAT
from conf.settings import Settings
from dagster_project import alerts, arrivals, freshness
from dagster_project.logs import console

HOURLY, DAILY, NIGHTLY = "hourly", "daily", "nightly"


def build(settings: Settings, overrides: Iterable[str] = ()) -> dg.Definitions:
    """Definitions whose assets use `settings`; `overrides` are the `--set` texts they were loaded with."""
    parts = partitions(settings)
    hourly_assets = [
        make(parts).with_attributes(backfill_policy=AN_HOUR_A_RUN)
        for make in (
            events_asset,
            user_features_asset,
            item_features_asset,
            popularity_asset,
            serving_artefact_asset,
            recommendations_asset,
            published_asset,
            served_asset,
            outcomes_asset,
            rollout_asset,
        )
    ]
    names = [asset.key.to_user_string() for asset in hourly_assets]
    fresh = freshness.checks(names) if settings.data.profile == "live" else []
    daily_assets = [make(parts) for make in (training_examples_asset, models_asset)]
    hourly = dg.define_asset_job(
        HOURLY,
        dg.AssetSelection.assets(*hourly_assets) - dg.AssetSelection.checks(*fresh),
        description="Features, lists and their publication for one hour.",
        # One process, so one JVM a run: Spark's start costs more than what two assets at once would save.
        executor_def=dg.in_process_executor,
    )
    daily = dg.define_asset_job(
        DAILY,
        dg.AssetSelection.assets(*daily_assets),
        description="Examples, training, measuring and deployment of one day.",
        executor_def=dg.in_process_executor,
    )
    try_model = dg.define_asset_job(
        arrivals.TRY_MODEL,
        dg.AssetSelection.assets("rollouts") - dg.AssetSelection.checks(*fresh),
        description="Begins the rollout of a new model without waiting for the next hour.",
        executor_def=dg.in_process_executor,
    )
    kept_up = upkeep_asset()
    nightly = dg.define_asset_job(
        NIGHTLY,
        dg.AssetSelection.assets(kept_up),
        description="Room on the disk: old partitions, replaced files, old models.",
        executor_def=dg.in_process_executor,
    )
    return dg.Definitions(
        assets=dg.map_asset_specs(
            lambda spec: spec.replace_attributes(owners=settings.dagster.owners),
            [*imported_assets(), *hourly_assets, *daily_assets, kept_up],
        ),
        asset_checks=fresh,
        jobs=[hourly, daily, nightly, try_model, ingest, take_in],
        schedules=[
            *_schedules(settings, parts, hourly, daily),
            dg.ScheduleDefinition("every_night", cron_schedule="40 3 * * *", job=nightly, execution_timezone="UTC"),
        ],
        sensors=[
            *alerts.sensors(settings),
            *arrivals.sensors(settings),
            *([freshness.sensor(settings, names)] if fresh else []),
        ],
        resources={"topshelf": Topshelf(overrides=list(overrides))},
        executor=dg.in_process_executor,
        loggers={"console": console},
    )


def _schedules(
    settings: Settings,
    parts: Partitions,
    hourly: dg.UnresolvedAssetJobDefinition,
    daily: dg.UnresolvedAssetJobDefinition,
) -> Iterable[Any]:
    """An hour is run five minutes after its end, a day at 00:20 after its end. Historical data has no next hour."""
    if settings.data.profile == "historical":
        return
    yield dg.build_schedule_from_partitioned_job(hourly, name="every_hour", minute_of_hour=5)

    @dg.schedule(cron_schedule="20 0 * * *", job=daily, name="every_day", execution_timezone="UTC")
    def every_day(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        yesterday = (context.scheduled_execution_time - timedelta(days=1)).strftime(DAY_FORMAT)
        return dg.RunRequest(run_key=yesterday, partition_key=yesterday)

    yield every_day
