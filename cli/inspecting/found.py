"""What the first page is made from: the control record, the ledger and Dagster's runs, as far as each answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb
from deltalake.exceptions import DeltaError

from cli.inspecting.runs import Run, newest
from conf.errors import TopshelfError
from conf.hours import Hour
from conf.settings import Settings
from jobs.rollback import attempts
from stores.base import Store
from stores.control import MERGED, Control
from stores.generation import Generation

Entry = Mapping[str, Any]
"""An attempt as it stands in the ledger."""


@dataclass(frozen=True)
class Found:
    """attempts and runs: newest first. A problem says in words why a part could not be read."""

    settings: Settings
    now: datetime
    control: Control | None = None
    attempts: tuple[Entry, ...] = ()
    runs: tuple[Run, ...] = ()
    store_problem: str | None = None
    ledger_problem: str | None = None
    runs_problem: str | None = None
    _runs_by_hour: dict[str, Run] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for run in reversed(self.runs):
            self._runs_by_hour[run.partition] = run

    @property
    def live(self) -> Generation | None:
        """What readers have; None: nothing, or it is not known."""
        return None if self.control is None else self.control.generation()

    @property
    def last_hour(self) -> Hour | None:
        """The newest hour that is over; None where there is no data."""
        data = self.settings.data
        if data.partitions_start is None:
            return None
        over = Hour.of(self.now - timedelta(hours=1)) if data.partitions_end is None else Hour.of(data.partitions_end)
        return max(over, Hour.of(data.partitions_start))

    @property
    def late(self) -> timedelta:
        """After an hour's end, until it must be published."""
        return timedelta(minutes=self.settings.alerts.late_minutes)

    def entry(self, generation: int) -> Entry | None:
        return next((entry for entry in self.attempts if entry["generation"] == generation), None)

    def run_of(self, hour: Hour) -> Run | None:
        """The newest run of an hour."""
        return self._runs_by_hour.get(hour.key)

    def state(self, entry: Entry) -> str:
        """Of an attempt: as noted, corrected by the control record where it was read."""
        noted = str(entry["state"])
        return noted if self.control is None else self.control.state_of(entry["generation"], noted)

    def was_live(self, entry: Entry) -> bool:
        return self.state(entry) in MERGED


def look(store: Store, settings: Settings, now: datetime) -> Found:
    """Read what there is to be read. A part that cannot be is a problem in words, and costs the others nothing."""
    parts: dict[str, Any] = {}
    try:
        parts["control"] = store.read_control()
    except TopshelfError as error:
        parts["store_problem"] = str(error)
    try:
        control: Control | None = parts.get("control")
        parts["attempts"] = tuple(
            entry for entry in attempts(settings.lake_root) if control is None or entry["store_id"] == control.store_id
        )
    except (TopshelfError, DeltaError, duckdb.Error, OSError) as error:
        parts["ledger_problem"] = str(error)
    try:
        parts["runs"] = tuple(newest(settings))
    except TopshelfError as error:
        parts["runs_problem"] = str(error)
    return Found(settings, now, **parts)
