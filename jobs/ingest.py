"""events: move what the service logged into Delta, each event once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from conf.hours import Hour
from jobs.barrier import NOBODY, Barred
from jobs.event_commits import commit
from jobs.event_rows import Malformed, parse
from jobs.lake import Lake
from jobs.log_state import LogState, alone
from jobs.tables import EVENTS, REJECTED_EVENTS
from stores.eventlog.framing import Segment, read, sealed_and_open_segments
from stores.eventlog.reading import Batch, EventLogReader, Record

EVENTS_A_COMMIT = 200_000
"""At most, but for the last batch of the reader's."""


@dataclass(frozen=True)
class Result:
    read: int
    """Events found in the log, with records that were left out."""
    new: int
    """Those of them that the table did not have."""
    rejected: int
    """Records that are no events: they are in the table rejected_events."""
    dropped: int
    """Records that the log had dropped before they were read."""
    watermark: int
    """Epoch seconds: every event logged before is in the table."""
    erased: int = 0
    """Records that were left out, for their users were forgotten."""


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
    with alone(folder) as state:
        now = state.no_earlier(clock())
        found = new = rejected = dropped = erased = 0
        for batch in _joined(reader.read(state.offsets)):
            events, malformed = _judged(batch.records, now, barred)
            left_out = len(batch.records) - len(events) - len(malformed)
            found, rejected = found + len(events) + left_out, rejected + len(malformed)
            dropped, erased = dropped + batch.dropped, erased + left_out
            new += _commit(lake, folder, state, events, malformed, batch.positions)
        state.note_pass(now.timestamp(), reader.skew_seconds)
        state.save(folder)
        return Result(found, new, rejected, dropped, int(now.timestamp() - state.skew), erased)


def waiting(reader: EventLogReader, folder: Path) -> bool:
    """Whether the log has anything that no pass has read. Raises as `read` of the reader does."""
    return next(iter(reader.read(LogState.load(folder).offsets)), None) is not None


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
    with alone(folder) as state:
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


def arrived(hour: Hour) -> Column:
    """The events that arrived within an hour."""
    return (F.col("ingested_at") >= F.lit(hour.start)) & (F.col("ingested_at") < F.lit(hour.end))


def _joined(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Fewer and larger batches: a commit costs a second, whatever its size."""
    records: list[Record] = []
    positions: dict[str, int] = {}
    dropped = 0
    for batch in batches:
        records += batch.records
        positions |= batch.positions
        dropped += batch.dropped
        if len(records) >= EVENTS_A_COMMIT:
            yield Batch(records, positions, dropped)
            records, positions, dropped = [], {}, 0
    if positions:
        yield Batch(records, positions, dropped)


def _judged(
    records: Sequence[Record], now: datetime, barred: Barred
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of events, and of rejected_events; none of users who were forgotten."""
    events, malformed = [], []
    for record in records:
        try:
            event = parse(record.value, now)
            if not barred.bars(event["user_id"]):
                events.append(event)
        except Malformed as error:
            if barred.names_in(record.value):
                continue
            malformed.append(
                {
                    "part": record.part,
                    "offset": record.offset,
                    "reason": str(error),
                    "value": None if record.value is None else bytearray(record.value),
                    "ingested_at": now,
                    "date": now.date(),
                }
            )
    return events, malformed


def _commit(
    lake: Lake,
    folder: Path,
    state: LogState,
    events: Sequence[dict[str, Any]],
    malformed: Sequence[dict[str, Any]],
    positions: dict[str, int],
) -> int:
    unique = {event["event_id"]: event for event in events}
    rows = [tuple(event[name] for name in EVENTS.columns) for event in unique.values()]
    refused = [tuple(row[name] for name in REJECTED_EVENTS.columns) for row in malformed]
    return commit(
        lake,
        folder,
        state,
        lake.spark.createDataFrame(rows, EVENTS.schema) if rows else None,
        min((event["timestamp"] for event in events), default=None),
        lake.spark.createDataFrame(refused, REJECTED_EVENTS.schema) if refused else None,
        positions,
    )
