"""events: move what the service logged into Delta, each event once."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from conf.hours import Hour
from jobs.barrier import NOBODY, Barred
from jobs.lake import Lake, write_json
from jobs.tables import CONTEXT, EVENTS, HISTORY_HOUR
from stores.eventlog.framing import Segment, read, sealed_and_open_segments
from stores.eventlog.reading import Batch, EventLogReader

STATE_FILE = "ingested.json"
KEPT_PASSES = 1000
EVENTS_A_COMMIT = 200_000
"""At most, but for the last batch of the reader's."""


@dataclass(frozen=True)
class Result:
    read: int
    """Events found in the log."""
    new: int
    """Those of them that the table did not have."""
    passed_over: int
    """Records of the log that are no events, and those that it had dropped before they were read."""
    watermark: int
    """Epoch seconds: every event logged before is in the table."""
    erased: int = 0
    """Events that were left out, for their users were forgotten."""


@dataclass
class _State:
    """How far the log has been read, and when each pass over it began."""

    offsets: dict[str, int] = field(default_factory=dict)
    passes: list[float] = field(default_factory=list)
    skew: float = 0.0
    """The largest of all readers so far, in seconds."""

    @classmethod
    def load(cls, folder: Path) -> _State:
        file = folder / STATE_FILE
        return cls(**json.loads(file.read_text())) if file.exists() else cls()

    def save(self, folder: Path) -> None:
        self.passes = self.passes[-KEPT_PASSES:]
        write_json(folder / STATE_FILE, asdict(self))


def run(
    lake: Lake, reader: EventLogReader, folder: Path, clock: Callable[[], datetime], barred: Barred = NOBODY
) -> Result:
    """Drain the log; one pass at a time, a second one waits.

    Events are stamped with the time at which the pass begins, so what is drained after an hour has ended belongs to a
    later one. The log is at least once: an event whose event_id is there already is dropped. Positions are saved after
    the commit, so a crash in between repeats some events and loses none.

    folder: where the positions are kept.
    barred: users of whom nothing is taken.
    """
    with _alone(folder):
        state, now = _State.load(folder), clock()
        found = new = passed_over = erased = 0
        for batch in _joined(reader.read(state.offsets)):
            found += len(batch.events)
            passed_over += batch.passed_over
            events = [event for event in batch.events if not barred.bars(str(event.get("user_id")))]
            erased += len(batch.events) - len(events)
            if events:
                new += _append(lake, events, now)
            state.offsets |= batch.positions
            state.save(folder)
        state.passes.append(now.timestamp())
        state.skew = max(state.skew, reader.skew_seconds)
        state.save(folder)
        return Result(found, new, passed_over, int(now.timestamp() - state.skew), erased)


def waiting(reader: EventLogReader, folder: Path) -> bool:
    """Whether the log has anything that no pass has read. Raises as `read` of the reader does."""
    return next(iter(reader.read(_State.load(folder).offsets)), None) is not None


def drop_ingested(folder: Path, before: datetime) -> int:
    """Remove finished segments of the embedded log that are in the table whole and were last written before `before`.

    Returns how many went. Waits for a pass that is under way.

    Raises:
        DataError: a segment is damaged; it stays.
    """
    return _drop(folder, lambda segment: segment.path.stat().st_mtime < before.timestamp())


def drop_segments(folder: Path, names: Collection[str]) -> int:
    """As `drop_ingested`, of these segments, however new they are."""
    return _drop(folder, lambda segment: segment.name in names)


def _drop(folder: Path, wanted: Callable[[Segment], bool]) -> int:
    gone = []
    with _alone(folder):
        state = _State.load(folder)
        for segment in sealed_and_open_segments(folder):
            if not (segment.sealed and segment.name in state.offsets and wanted(segment)):
                continue
            if not read(segment, state.offsets[segment.name])[0]:
                gone.append(segment)
        # Forgotten first: a place kept of a segment that is gone would be taken for one in the next of its name, and
        # what stands before it there would never be read. Read once more, events are known by their event_id.
        for segment in gone:
            del state.offsets[segment.name]
        state.save(folder)
        for segment in gone:
            segment.path.unlink()
    return len(gone)


def count(lake: Lake, hour: Hour) -> int:
    """Events that arrived within an hour."""
    arrived = (F.col("ingested_at") >= F.lit(hour.start)) & (F.col("ingested_at") < F.lit(hour.end))
    return lake.read(EVENTS).where(arrived).count()


def watermark(folder: Path, hour: Hour) -> int:
    """Epoch seconds: every event logged before this moment is in what `hour` reads. 0: no pass since the log began."""
    state = _State.load(folder)
    began = max((began for began in state.passes if began < hour.end.timestamp()), default=state.skew)
    return int(began - state.skew)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The lock goes when the process does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ingest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _joined(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Fewer and larger batches: a commit costs a second, whatever its size."""
    events: list[dict[str, Any]] = []
    positions: dict[str, int] = {}
    passed_over = 0
    for batch in batches:
        events += batch.events
        positions |= batch.positions
        passed_over += batch.passed_over
        if len(events) >= EVENTS_A_COMMIT:
            yield Batch(events, positions, passed_over)
            events, positions, passed_over = [], {}, 0
    if positions:
        yield Batch(events, positions, passed_over)


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
    return lake.append_new(EVENTS, arrived, lake.read(EVENTS).where(recent))


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
