"""Sensors that see what has come in: events in the log, files in the folder data.watch, and a new model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from assets import arrivals
from conf.settings import Settings
from dagster_project.alerts import live_hour
from jobs.ingest import waiting
from jobs.log_state import stream_runs
from stores.opening import open_eventlog_reader

EVENTS_SECONDS, FILES_SECONDS, MODEL_SECONDS = 300, 60, 60
TRY_MODEL = "try_model"
TRIES = 3
FILES_TAG = "topshelf/files"
"""Run tag: a digest of the files that the run imports."""
UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
Clock = Callable[[], datetime]


def sensors(settings: Settings, clock: Clock = lambda: datetime.now(UTC)) -> Sequence[dg.SensorDefinition]:
    """Those of live data; nothing comes to a finished record. Off until an operator turns them on."""
    if settings.data.profile != "live":
        return []
    found = [_new_events(settings, clock), _new_model(settings)]
    return [*found, _new_files(settings)] if settings.data.watch is not None else found


def _new_events(settings: Settings, clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        name="new_events",
        job_name=arrivals.ingest.name,
        minimum_interval_seconds=EVENTS_SECONDS,
        description="Has events moved to the lake every five minutes, so that each counts in the hour of its arrival.",
    )
    def new_events(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if context.instance.get_runs_count(dg.RunsFilter(job_name=arrivals.ingest.name, statuses=UNDER_WAY)):
            return dg.SkipReason("events are being moved, or wait for it")
        if stream_runs(settings.eventlog_path):
            return dg.SkipReason("`topshelf stream` moves them")
        with closing(open_eventlog_reader(settings)) as reader:
            if not waiting(reader, settings.eventlog_path):
                return dg.SkipReason("the log has nothing new")
        return dg.RunRequest(run_key=f"{clock():%Y-%m-%dT%H:%M}")

    return new_events


def _new_model(settings: Settings) -> dg.SensorDefinition:
    @dg.asset_sensor(
        name="new_model",
        asset_key=dg.AssetKey("models"),
        job_name=TRY_MODEL,
        minimum_interval_seconds=MODEL_SECONDS,
        description="Begins the rollout of a model that passed its gate, in the hour that readers have.",
    )
    def new_model(context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> dg.RunRequest | dg.SkipReason:
        made = event.asset_materialization
        found = {name: value.value for name, value in (made.metadata if made else {}).items()}
        if not found.get("passed"):
            return dg.SkipReason(f"{found.get('version')} was refused: {found.get('refused because')}")
        live, problem = live_hour(settings)
        if live is None:
            return dg.SkipReason(problem or f"nothing is published yet that {found['version']} could be tried beside")
        return dg.RunRequest(run_key=str(found["model"]), partition_key=live.key)

    return new_model


def _new_files(settings: Settings) -> dg.SensorDefinition:
    assert settings.data.watch is not None
    folder = Path(settings.under_home(settings.data.watch))

    @dg.sensor(
        name="new_files",
        job_name=arrivals.take_in.name,
        minimum_interval_seconds=FILES_SECONDS,
        description="Imports the folder data.watch once its files have changed, and then not for a minute.",
    )
    def new_files(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not folder.is_dir():
            return dg.SkipReason(f"{folder} is not there")
        now = _state(folder)
        cursor = json.loads(context.cursor or "{}")
        if now is None or (now == cursor.get("asked") and not _failed(context.instance, now)):
            return dg.SkipReason(f"nothing is new in {folder}")
        if now == cursor.get("asked"):
            tries = _tries(context.instance, now)
            if tries >= TRIES:
                return dg.SkipReason(f"{folder} could not be imported {TRIES} times: see its runs, and mend its files")
            return dg.RunRequest(run_key=f"{now} {tries}", tags={FILES_TAG: now})
        if now != cursor.get("seen"):
            context.update_cursor(json.dumps({**cursor, "seen": now}))
            return dg.SkipReason(f"files in {folder} have changed; imported once they have not for a minute")
        context.update_cursor(json.dumps({"asked": now}))
        return dg.RunRequest(run_key=now, tags={FILES_TAG: now})

    return new_files


def _tries(instance: dg.DagsterInstance, files: str) -> int:
    return instance.get_runs_count(dg.RunsFilter(tags={FILES_TAG: files}))


def _failed(instance: dg.DagsterInstance, files: str) -> bool:
    """Whether the newest run for these files failed."""
    runs = instance.get_runs(dg.RunsFilter(tags={FILES_TAG: files}), limit=1)
    return bool(runs) and runs[0].status == dg.DagsterRunStatus.FAILURE


def _state(folder: Path) -> str | None:
    """A digest of names, sizes and times of the folder's files; None: it has none."""
    files = sorted((file.name, *_size_and_time(file)) for file in folder.iterdir() if file.is_file())
    return hashlib.sha256(json.dumps(files).encode()).hexdigest() if files else None


def _size_and_time(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns
