"""events: move what the service logged into Delta, each event once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from conf.hours import Hour
from jobs.lake import Lake, write_json
from jobs.tables import CONTEXT, EVENTS, HISTORY_HOUR
from stores.eventlog.embedded import read, sealed_and_open_segments

STATE_FILE = "ingested.json"
KEPT_PASSES = 1000


@dataclass(frozen=True)
class Result:
    """read: events found in the log; new: those not seen before; in_hour: rows that the hour's partition holds."""

    read: int
    new: int
    in_hour: int


@dataclass
class _State:
    """How far the log has been read, and when each pass over it began."""

    offsets: dict[str, int] = field(default_factory=dict)
    passes: list[float] = field(default_factory=list)

    @classmethod
    def load(cls, log: Path) -> _State:
        file = log / STATE_FILE
        return cls(**json.loads(file.read_text())) if file.exists() else cls()

    def save(self, log: Path) -> None:
        log.mkdir(parents=True, exist_ok=True)
        self.passes = self.passes[-KEPT_PASSES:]
        write_json(log / STATE_FILE, asdict(self))


def run(lake: Lake, hour: Hour, log: Path, now: datetime) -> Result:
    """Drain the log below the folder `log`, then count what `hour` holds.

    Events are stamped with `now`, so what is drained after an hour has ended belongs to a later one. The log is at
    least once: an event whose event_id is there already is dropped. Offsets are saved after the commit, so a crash in
    between repeats a segment and loses nothing.
    """
    state = _State.load(log)
    found = new = 0
    for segment in sealed_and_open_segments(log):
        events, end = read(segment, state.offsets.get(segment.name, 0))
        if events:
            found += len(events)
            new += _append(lake, events, now)
            state.offsets[segment.name] = end
            state.save(log)
    state.passes.append(now.timestamp())
    state.save(log)
    arrived = (F.col("ingested_at") >= F.lit(hour.start)) & (F.col("ingested_at") < F.lit(hour.end))
    return Result(found, new, lake.read(EVENTS).where(arrived).count())


def watermark(log: Path, hour: Hour) -> int:
    """Epoch seconds: every event logged before this moment is in what `hour` reads. 0: no pass since the log began."""
    return int(max((began for began in _State.load(log).passes if began < hour.end.timestamp()), default=0))


def _append(lake: Lake, events: Sequence[dict[str, Any]], now: datetime) -> int:
    """Add the events that the table does not have, and count them.

    The service takes no event from a day or more ahead, so the same event cannot have arrived a day before it
    happened: older partitions are not read.
    """
    unique = {str(event["event_id"]): event for event in events}
    rows = [_row(event, now) for event in unique.values()]
    earliest = min(row["timestamp"] for row in rows).date() - timedelta(days=1)
    arrived = lake.spark.createDataFrame([tuple(row[name] for name in EVENTS.columns) for row in rows], EVENTS.schema)
    recent = (F.col("date") >= F.lit(earliest)) | (
        (F.col("hour") == HISTORY_HOUR) & (F.col("timestamp") >= F.lit(earliest).cast("timestamp"))
    )
    known = lake.read(EVENTS).where(recent)
    fresh = arrived.join(known.select("event_id"), on="event_id", how="left_anti").persist()
    try:
        count = fresh.count()
        if count:
            lake.append(EVENTS, fresh)
    finally:
        fresh.unpersist()
    return count


def _row(event: dict[str, Any], now: datetime) -> dict[str, Any]:
    context = event.get("context") or {}
    row = {name: event.get(name) for name in EVENTS.columns}
    return {
        **row,
        "timestamp": datetime.fromisoformat(str(event["timestamp"])),
        "context": tuple(context.get(name) for name in CONTEXT.fieldNames()),
        "rating": None if event.get("rating") is None else float(event["rating"]),
        "ingested_at": now,
        "date": now.date(),
        "hour": now.hour,
    }
