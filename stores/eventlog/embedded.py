"""The event log in a folder of segments, for one machine.

Each writer (a worker process) appends to its own segment and holds a lock on it as long as it lives, so a reader can
tell a finished segment from one that may still grow, even after a SIGKILL. A line is the CRC32 of its JSON in eight
hexadecimal digits, a space, the JSON and a newline. A crash can leave one torn stretch, at a segment's end: it was
never acknowledged, and readers leave it out.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conf.errors import DataError
from stores.eventlog.base import LOGGED_AT, Event, EventLog, EventLogUnavailable

SEGMENT_BYTES = 64 << 20
_SUFFIX = ".log"
_CRC_DIGITS = 8


@dataclass(frozen=True)
class Segment:
    name: str
    path: Path
    sealed: bool
    """No writer holds it: it never grows again."""


class EmbeddedEventLog(EventLog):
    """See `stores.eventlog.base.EventLog`.

    writer_id: names this writer's segments; no two living writers may share one.
    clock: epoch seconds.
    """

    def __init__(
        self, root: Path, writer_id: str, clock: Callable[[], float], segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._root = root
        self._writer_id = writer_id
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        self._file: int | None = None
        self._size = 0

    def append(self, events: Sequence[Event]) -> None:
        if not events:
            return
        with self._lock:
            stamped = [{**event, LOGGED_AT: self._clock()} for event in events]
            lines = b"".join(_line(event) for event in stamped)
            try:
                file = self._segment()
                _write_all(file, lines)
                os.fdatasync(file)
            except OSError as error:
                self._undo()
                raise EventLogUnavailable(f"the event log {self._root} took no event: {error.strerror}") from error
            self._size += len(lines)

    def close(self) -> None:
        with self._lock:
            self._let_go()

    def _segment(self) -> int:
        if self._file is not None and (self._size >= self._segment_bytes or os.fstat(self._file).st_nlink == 0):
            self._let_go()  # full, or deleted by somebody: what is written to it now would be gone
        if self._file is None:
            self._open()
        assert self._file is not None
        return self._file

    def _open(self) -> None:
        """Begin a new segment. It gets its name once it is locked: a reader never takes it for a finished one."""
        self._root.mkdir(parents=True, exist_ok=True)
        mine = sorted(self._root.glob(f"{self._writer_id}-*{_SUFFIX}"))
        number = int(mine[-1].stem.rpartition("-")[2]) + 1 if mine else 1
        final = self._root / f"{self._writer_id}-{number:08d}{_SUFFIX}"
        partial = final.with_suffix(".partial")
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.rename(final)
            _sync_folder(self._root)
        except OSError:
            os.close(file)
            raise
        self._file, self._size = file, 0

    def _undo(self) -> None:
        """Cut what a failed append left, and go on in another segment."""
        if self._file is None:
            return
        # Where even this fails, readers pass over a torn end, and whole events are at most there twice.
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._size)
        self._let_go()

    def _let_go(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file, self._size = None, 0


def sealed_and_open_segments(root: Path) -> tuple[Segment, ...]:
    """Every segment, by name. `sealed` is checked before a caller reads, so a sealed one is read whole."""
    segments = []
    for path in sorted(root.glob(f"*{_SUFFIX}")):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                sealed = True
            except BlockingIOError:
                sealed = False
        segments.append(Segment(path.stem, path, sealed))
    return tuple(segments)


def read(segment: Segment, offset: int = 0) -> tuple[list[dict[str, object]], int]:
    """The events from byte `offset` on, and the offset to go on from. A torn end is left alone.

    Raises:
        DataError: a line before the end does not match its checksum.
    """
    with segment.path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    events, end = _parse(data, segment.name, offset)
    return events, offset + end


def _parse(data: bytes, name: str, offset: int) -> tuple[list[dict[str, object]], int]:
    """Events and the length of what is sound. Torn bytes are allowed only where nothing sound follows."""
    events: list[dict[str, object]] = []
    end = position = 0
    while (newline := data.find(b"\n", position)) >= 0:
        event = _event(data[position:newline])
        if event is not None:
            if end != position:
                raise DataError(f"event log segment {name}: bytes {offset + end} to {offset + position} are damaged")
            events.append(event)
            end = newline + 1
        position = newline + 1
    return events, end


def _event(line: bytes) -> dict[str, object] | None:
    checksum, _, text = line.partition(b" ")
    if len(checksum) != _CRC_DIGITS or checksum != b"%08x" % zlib.crc32(text):
        return None
    event = json.loads(text)
    return event if isinstance(event, dict) else None


def _line(event: Event) -> bytes:
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
