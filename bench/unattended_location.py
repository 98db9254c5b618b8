"""The product's assets and jobs for a real Dagster daemon, in the time that `bench.unattended` sets.

Instead of schedules, which go by the wall clock, a sensor asks for each simulated hour once the one before is
published, and for each day once its last hour is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from bench.timeline import SetTime
from conf.hours import Hour
from dagster_project import alerts
from dagster_project.arrivals import UNDER_WAY
from dagster_project.build import DAILY, HOURLY, build
from stores.opening import open_store

LOCATION = "bench.unattended_location"
PLAN = "unattended.json"
"""In the home folder: `settings`, those of every run, and `faults`, more of them by run key."""
TRIES = 4
SENSOR, SENSOR_TAG = "next_hour", "dagster/sensor_name"
PARTITION = "dagster/partition"


@dg.definitions
def unattended() -> dg.Definitions:
    home = os.environ["TOPSHELF_HOME"]
    given = SetTime(home=home, overrides=_plan(home)["settings"])
    settings = given.settings()
    made = build(settings, given.overrides)
    return dg.Definitions(
        assets=made.assets,
        asset_checks=made.asset_checks,
        jobs=made.jobs,
        sensors=[*alerts.sensors(settings, given.now), _next_hour(given, list(made.jobs or ()))],
        resources={"topshelf": given},
        executor=made.executor,
        loggers=made.loggers,
    )


def _plan(home: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(home) / PLAN).read_text())
    return found


def _next_hour(given: SetTime, jobs: list[Any]) -> dg.SensorDefinition:
    @dg.sensor(
        name=SENSOR,
        jobs=jobs,
        minimum_interval_seconds=2,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for the hour after the published one, and for a day's training before its successor's first.",
    )
    def next_hour(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        instance = context.instance
        if instance.get_runs_count(dg.RunsFilter(statuses=UNDER_WAY)):
            return dg.SkipReason("a run is under way")
        with open_store(given.settings()) as store:
            control = store.read_control()
        live = None if control is None else control.generation()
        if live is None:
            return dg.SkipReason("nothing is published yet")
        wanted = Hour(Hour.parse(live.hour).end)
        if given.now() < wanted.end:
            return dg.SkipReason(f"{wanted} is not over")
        day = Hour(wanted.start - timedelta(hours=1)).day_key
        if wanted.start.hour == 0 and not _tries(instance, DAILY, day):
            return _request(given, DAILY, day, 0)
        tries = _tries(instance, HOURLY, wanted.key)
        if tries >= TRIES:
            return dg.SkipReason(f"{wanted} failed {TRIES} times: an operator has to look")
        return _request(given, HOURLY, wanted.key, tries)

    return next_hour


def _tries(instance: dg.DagsterInstance, job: str, partition: str) -> int:
    """Of runs that the sensor asked for: the very first training was of the same day."""
    return instance.get_runs_count(dg.RunsFilter(job_name=job, tags={PARTITION: partition, SENSOR_TAG: SENSOR}))


def _request(given: SetTime, job: str, partition: str, number: int) -> dg.RunRequest:
    key = f"{partition} {number}"
    plan = _plan(given.home)
    faults: Mapping[str, list[str]] = plan["faults"]
    config = {"home": given.home, "overrides": [*plan["settings"], *faults.get(key, [])]}
    return dg.RunRequest(
        run_key=f"{job} {key}",
        job_name=job,
        partition_key=partition,
        run_config={"resources": {"topshelf": {"config": config}}, "loggers": {"console": {"config": {}}}},
    )
