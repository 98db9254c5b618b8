"""What Dagster knows of the newest runs, read from its own storage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from conf.errors import RetryableError
from conf.settings import Settings
from dagster_project.instance import INSTANCE_FILE

if TYPE_CHECKING:
    import dagster as dg

RUNS = 500
"""Looked at, the newest: more than a day's, of which most move events between the hours."""
QUEUED, UNDER_WAY, DONE, FAILED, ENDED = "queued", "under way", "done", "failed", "ended by hand"
_STATES = {
    "NOT_STARTED": QUEUED,
    "QUEUED": QUEUED,
    "STARTING": QUEUED,
    "STARTED": UNDER_WAY,
    "SUCCESS": DONE,
    "FAILURE": FAILED,
    "CANCELING": ENDED,
    "CANCELED": ENDED,
}


@dataclass(frozen=True)
class Run:
    """partition: its key, empty where it has none; generation: what it published, None: nothing."""

    run_id: str
    job: str
    partition: str
    state: str
    started: datetime | None
    ended: datetime | None
    generation: int | None

    def took(self, now: datetime) -> timedelta:
        """Up to now, where it is under way."""
        return timedelta(0) if self.started is None else (self.ended or now) - self.started


def newest(settings: Settings) -> list[Run]:
    """The newest runs, newest first; none where no run was ever asked for.

    Raises:
        RetryableError: the storage cannot be read.
    """
    if not (settings.dagster_home / INSTANCE_FILE).exists():
        return []
    import dagster as dg  # takes seconds, and most of the operators' pages need none of it

    try:
        with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
            records = instance.get_run_records(limit=RUNS)
    except Exception as error:
        raise RetryableError(f"Dagster's storage cannot be read: {error}") from error
    return [_run(record) for record in records]


def _run(record: dg.RunRecord) -> Run:
    run = record.dagster_run
    tags = run.tags
    generation = tags.get("topshelf/generation")
    return Run(
        run.run_id,
        run.job_name,
        tags.get("dagster/partition", ""),
        _STATES.get(run.status.value, run.status.value.lower()),
        _moment(record.start_time),
        _moment(record.end_time),
        None if generation is None else int(generation),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
