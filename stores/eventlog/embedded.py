"""The event log in a folder of segments (`stores.eventlog.framing`), for one machine."""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stores.eventlog.base import LOGGED_AT, Event, EventLog, EventLogUnavailable
from stores.eventlog.framing import SEGMENT_BYTES, SegmentWriter, line, read, read_texts, sealed_and_open_segments
from stores.eventlog.reading import Batch, EventLogReader, Record

__all__ = ["EmbeddedEventLog", "EmbeddedReader", "read", "sealed_and_open_segments"]


@dataclass
class _Entry:
    """What one call of `append` has to write."""

    lines: bytes
    error: OSError | None = None
    done: bool = False


class EmbeddedEventLog(EventLog):
    """See `stores.eventlog.base.EventLog`.

    Appends of several threads share a sync: whoever gets to write takes along what the others have queued since.

    writer_id: names this writer's segments; no two living writers may share one.
    clock: epoch seconds.
    """

    def __init__(
        self, root: Path, writer_id: str, clock: Callable[[], float], segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._root = root
        self._clock = clock
        self._writer = SegmentWriter(root, writer_id, segment_bytes)
        self._queue = deque[_Entry]()
        self._lock = threading.Lock()
        """Of the segment; the queue needs none."""

    def append(self, events: Sequence[Event]) -> None:
        if not events:
            return
        now = self._clock()
        entry = _Entry(b"".join(line({**event, LOGGED_AT: now}) for event in events))
        self._queue.append(entry)
        with self._lock:
            if not entry.done:
                self._write_queued()
        if entry.error is not None:
            reason = entry.error.strerror
            raise EventLogUnavailable(f"the event log {self._root} took no event: {reason}") from entry.error

    def seal(self) -> None:
        with self._lock:
            self._writer.close()

    def close(self) -> None:
        self.seal()

    def _write_queued(self) -> None:
        """Write and sync all that is queued: as one, so that all of it is there or none."""
        entries = [self._queue.popleft() for _ in range(len(self._queue))]
        lines = b"".join(entry.lines for entry in entries)
        error: OSError | None = OSError(errno.EINTR, os.strerror(errno.EINTR))
        try:
            self._writer.append(lines, sync=True)
            error = None
        except OSError as failed:
            error = failed
        finally:
            for entry in entries:
                entry.error, entry.done = error, True


class EmbeddedReader(EventLogReader):
    """See `stores.eventlog.reading.EventLogReader`. A batch is one segment's; a position is a byte of a segment."""

    skew_seconds = 0.0

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, positions: Mapping[str, int]) -> Iterator[Batch]:
        for segment in sealed_and_open_segments(self._root):
            texts, end = read_texts(segment, positions.get(segment.name, 0))
            if texts:
                yield Batch([Record(segment.name, offset, text) for offset, text in texts], {segment.name: end})

    def gone_by(self, now: float) -> float | None:
        return None

    def close(self) -> None:
        pass
