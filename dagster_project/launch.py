"""Run one hour from the command line: the schedules' own jobs, in this process, recorded in the same instance."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.resources import HOUR_TAG, REPUBLISH_TAG, TERMINAL_TAG
from conf.errors import ConfigError
from conf.hours import Hour
from conf.settings import Settings
from dagster_project.build import DAILY, HOURLY, build
from dagster_project.instance import prepare_instance
from dagster_project.launcher import PROCESS_TAG, process_tag
from jobs import manifests, train
from jobs.alone import Share
from jobs.lake import Lake
from jobs.registry import Registry
from jobs.spark import spark_session
from stores.opening import open_store


@dataclass
class RunSummary:
    hour: Hour
    generation: int | None = None
    state: str = ""
    steps: list[tuple[str, float]] = field(default_factory=list)
    """Name and wall seconds of each step, in the order they ran."""
    metrics: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def newest_hour(settings: Settings, now: datetime) -> Hour:
    """The hour to run when none is named: the last of historical data, else the newest that is over."""
    data = settings.data
    if data.partitions_start is None:
        raise ConfigError("there is no data yet: import some with `topshelf import DIR`, or make a demo world")
    if data.partitions_end is not None:
        return Hour.of(data.partitions_end)
    return Hour.of(now - timedelta(hours=1))


def run_hour(
    settings: Settings,
    hour: Hour | None,
    force: bool,
    republish: bool,
    overrides: Iterable[str],
    report: Callable[[str], None],
) -> RunSummary:
    """Train if a training is due, then run every hourly asset of `hour`.

    force: train again and reuse nothing; republish: publish even where the hour is not later than the live one.

    Raises:
        ConfigError: there is no data, or the hour lies outside of it.
        TopshelfError: as the failing job raised it.
    """
    now = datetime.now(UTC)
    wanted = hour or newest_hour(settings, now)
    _check_inside(settings, wanted, now)
    prepare_instance(settings)
    summary = RunSummary(wanted)
    definitions = build(settings, overrides)
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        started = time.perf_counter()
        report("starting Spark")
        lake = Lake(spark_session(_beside(settings)), settings.lake_root, Share(settings.home))
        summary.steps.append(("start Spark", time.perf_counter() - started))
        registry = Registry(lake, settings)
        newest = next((model for model in registry.models() if model.intact()), None)
        due = not _readers_have_later(settings, wanted) and train.is_due(newest, wanted, settings)
        if force or registry.deployed() is None or due:
            _run_job(
                definitions,
                DAILY,
                wanted.day_key,
                {HOUR_TAG: wanted.key, TERMINAL_TAG: "true", PROCESS_TAG: process_tag()},
                instance,
                summary,
                report,
            )
        tags = {TERMINAL_TAG: "true", PROCESS_TAG: process_tag()} | ({REPUBLISH_TAG: "true"} if republish else {})
        _run_job(definitions, HOURLY, wanted.key, tags, instance, summary, report)
    summary.metrics = Registry(lake, settings).need_deployed().metrics
    _count(settings, summary)
    return summary


def _beside(settings: Settings) -> Settings:
    """For a few rows of the registry; on a cluster of few cores a session of ours would keep the steps' own waiting."""
    if settings.spark.launch == "in_process":
        return settings
    return settings.model_copy(update={"spark": settings.spark.model_copy(update={"master": "local[1]"})})


def _check_inside(settings: Settings, hour: Hour, now: datetime) -> None:
    last = newest_hour(settings, now)
    first = last if settings.data.partitions_start is None else Hour.of(settings.data.partitions_start)
    if not first <= hour <= last:
        raise ConfigError(f"hour {hour} lies outside of the data, whose whole hours are {first} to {last}")


def _readers_have_later(settings: Settings, hour: Hour) -> bool:
    """Then it is worked out with the model that it was made with, and no training is due."""
    with open_store(settings) as store:
        control = store.read_control()
    return control is not None and manifests.has_later(control, hour)


def _count(settings: Settings, summary: RunSummary) -> None:
    scored = manifests.scored(settings, summary.hour)
    summary.counts = {"users scored": scored.scored, "lists changed": scored.changed}
    with open_store(settings) as store:
        control = store.read_control()
    live = None if control is None else control.generation()
    if live is not None and live.hour == str(summary.hour):
        summary.generation = live.number


def _run_job(
    definitions: dg.Definitions,
    name: str,
    partition: str,
    tags: Mapping[str, str],
    instance: dg.DagsterInstance,
    summary: RunSummary,
    report: Callable[[str], None],
) -> None:
    report(f"job {name}, partition {partition}")
    job = definitions.resolve_job_def(name)
    result = job.execute_in_process(
        run_config={"loggers": {"console": {}}}, partition_key=partition, instance=instance, tags=dict(tags)
    )
    for event in result.all_events:
        if event.is_step_success:
            summary.steps.append((event.step_key or "", event.step_success_data.duration_ms / 1000))
