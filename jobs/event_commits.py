"""What comes out of the event log into the lake: each event once, each malformed record once, whoever dies when.

Three things make it once. One holder of the record moves events at a time (`jobs.log_state.alone`). What the tables
have already, by event_id and by place in the log, is left out, so a commit whose positions were never noted repeats
nothing. And every commit carries a number of its own, noted before it is begun, which Delta keeps with it
(txnVersion): after a death amid a commit the next holder first commits a higher number, so that a Java process which
outlives its Python by a moment finds its own commit refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.event_rows import AHEAD
from jobs.lake import Lake, Numbered
from jobs.log_state import LogState
from jobs.tables import EVENTS, HISTORY_HOUR, REJECTED_EVENTS

APP = "topshelf-events"


def commit(
    lake: Lake,
    folder: Path,
    state: LogState,
    events: DataFrame | None,
    earliest: datetime | None,
    rejected: DataFrame | None,
    positions: Mapping[str, int],
) -> int:
    """Add what the tables do not have, then note how far the log is in them. Returns how many events were new.

    state: of `alone`, which the caller holds.
    events: with the columns of the table, each event_id once; None: there are none.
    earliest: the smallest timestamp among them.
    """
    if events is not None or rejected is not None:
        number = begin(lake, folder, state)
    if rejected is not None:
        lake.append_new(REJECTED_EVENTS, rejected, lake.read(REJECTED_EVENTS), number)
    new = 0
    if events is not None and earliest is not None:
        new = lake.append_new(EVENTS, events, _recent(lake, earliest), number)
    state.offsets |= positions
    state.open = False
    state.save(folder)
    return new


def begin(lake: Lake, folder: Path, state: LogState) -> Numbered:
    """The number of the next commit, noted. From now on Delta refuses what was begun before and has not ended."""
    if state.open:
        fence = _next(folder, state)
        for table in (EVENTS, REJECTED_EVENTS):
            lake.append(table, lake.spark.createDataFrame([], table.schema), numbered=fence)
    return _next(folder, state)


def _recent(lake: Lake, earliest: datetime) -> DataFrame:
    """Where an event of then, or later, can be: none has arrived long before it happened (`jobs.event_rows.AHEAD`)."""
    since = F.lit(earliest - AHEAD)
    history = (F.col("hour") == HISTORY_HOUR) & (F.col("timestamp") >= since)
    return lake.read(EVENTS).where((F.col("date") >= since.cast("date")) | history)


def _next(folder: Path, state: LogState) -> Numbered:
    state.commits += 1
    state.open = True
    state.save(folder)
    return Numbered(APP, state.commits)
