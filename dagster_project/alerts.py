"""Sensors that tell an operator of runs that failed and of hours that are late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from conf.errors import TopshelfError
from conf.hours import Hour
from conf.settings import Settings
from jobs.alerts import Alert, send
from stores.opening import open_store

LOOK_SECONDS = 300
Clock = Callable[[], datetime]


def sensors(settings: Settings, clock: Clock = lambda: datetime.now(UTC)) -> Sequence[dg.SensorDefinition]:
    """Those of live data; a finished record has no next hour to be late."""
    found: list[dg.SensorDefinition] = [_run_failed(settings)]
    if settings.data.profile == "live":
        found.append(_hour_late(settings, clock))
    return found


def _run_failed(settings: Settings) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="run_failed",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Posts an alert for every run that failed.",
    )
    def run_failed(context: dg.RunFailureSensorContext) -> None:
        run, error = context.dagster_run, context.failure_event.message or "no reason is known"
        steps = context.get_step_failure_events()
        causes = [step.step_failure_data.error for step in steps if step.step_failure_data.error is not None]
        cause = causes[0] if causes else None
        while cause is not None and cause.cause is not None:
            cause = cause.cause
        kind = "gate_failed" if cause is not None and cause.cls_name == "GateFailed" else "run_failed"
        # A back-fill's run of one hour names it as the start of a range.
        partition = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start", "")
        said = (cause.message if cause is not None else error).strip()
        send(
            settings,
            Alert(
                kind, f"{run.job_name} of {partition} failed: {said}", {"run_id": run.run_id, "partition": partition}
            ),
        )

    return run_failed


def _hour_late(settings: Settings, clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        name="hour_late",
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Posts an alert for an hour that is not published in time, once.",
    )
    def hour_late(context: dg.SensorEvaluationContext) -> Any:
        if settings.data.partitions_start is None:
            return dg.SkipReason("there is no data yet")
        due = Hour.of(clock() - timedelta(hours=1, minutes=settings.alerts.late_minutes))
        live, problem = live_hour(settings)
        if (live is not None and live >= due) or context.cursor == due.key:
            return dg.SkipReason(f"readers have {live}" if problem is None else problem)
        has = "nothing is published" if live is None else f"readers have the lists of {live}"
        send(
            settings,
            Alert(
                "hour_late",
                f"hour {due} is not published {settings.alerts.late_minutes} minutes after its end: "
                f"{has if problem is None else problem}",
                {"hour": due.key, "live": None if live is None else live.key},
            ),
        )
        context.update_cursor(due.key)
        return dg.SkipReason(f"told that {due} is late")

    return hour_late


def live_hour(settings: Settings) -> tuple[Hour | None, str | None]:
    """The hour that readers have, None where there is none; and what kept the store from telling it."""
    try:
        with open_store(settings) as store:
            control = store.read_control()
    except TopshelfError as error:
        return None, f"the store cannot be asked: {error}"
    generation = None if control is None else control.generation()
    return (None if generation is None else Hour.parse(generation.hour)), None
