"""The event log in a folder of segments (`stores.eventlog.framing`), for one machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from stores.eventlog.base import LOGGED_AT, Event, EventLog, EventLogUnavailable
from stores.eventlog.framing import SEGMENT_BYTES, SegmentWriter, line, read, sealed_and_open_segments

__all__ = ["EmbeddedEventLog", "read", "sealed_and_open_segments"]


class EmbeddedEventLog(EventLog):
    """See `stores.eventlog.base.EventLog`.

    writer_id: names this writer's segments; no two living writers may share one.
    clock: epoch seconds.
    """

    def __init__(
        self, root: Path, writer_id: str, clock: Callable[[], float], segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._root = root
        self._clock = clock
        self._lock = threading.Lock()
        self._writer = SegmentWriter(root, writer_id, segment_bytes)

    def append(self, events: Sequence[Event]) -> None:
        if not events:
            return
        with self._lock:
            stamped = [{**event, LOGGED_AT: self._clock()} for event in events]
            try:
                self._writer.append(b"".join(map(line, stamped)), sync=True)
            except OSError as error:
                raise EventLogUnavailable(f"the event log {self._root} took no event: {error.strerror}") from error

    def close(self) -> None:
        with self._lock:
            self._writer.close()
