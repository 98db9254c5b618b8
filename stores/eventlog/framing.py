"""Lines in segments, as the embedded logs of one machine keep them.

Each writer (a worker process) appends to its own segment and holds a lock on it as long as it lives, so a reader can
tell a finished segment from one that may still grow, even after a SIGKILL. A line is the CRC32 of its JSON in eight
hexadecimal digits, a space, the JSON and a newline. A crash can leave one torn stretch, at a segment's end: readers
leave it out.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conf.errors import DataError
from stores.folders import sync_folder

SEGMENT_BYTES = 64 << 20
_SUFFIX = ".log"


@dataclass(frozen=True)
class Segment:
    name: str
    path: Path
    sealed: bool
    """No writer holds it: it never grows again."""


class SegmentWriter:
    """One writer's segments below `root`. Not thread-safe; opens on first use.

    writer_id: names this writer's segments; no two living writers may share one.
    """

    def __init__(self, root: Path, writer_id: str, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._root = root
        self._writer_id = writer_id
        self._segment_bytes = segment_bytes
        self._file: int | None = None
        self._size = 0
        self._number = 0

    def append(self, lines: bytes, sync: bool) -> None:
        """Append whole lines. sync: when this returns they survive a crash of the machine, not only of the process.

        Raises:
            OSError: they were not appended; what was written of them is taken back.
        """
        try:
            file = self._segment()
            _write_all(file, lines)
            if sync:
                os.fdatasync(file)
        except BaseException:
            self._undo()
            raise
        self._size += len(lines)

    def close(self) -> None:
        """Seal the segment; another append begins a new one."""
        if self._file is not None:
            os.close(self._file)
            self._file, self._size = None, 0

    def _segment(self) -> int:
        if self._file is not None and (self._size >= self._segment_bytes or os.fstat(self._file).st_nlink == 0):
            self.close()  # full, or deleted by somebody: what is written to it now would be gone
        if self._file is None:
            self._open()
        assert self._file is not None
        return self._file

    def _open(self) -> None:
        """Begin a new segment. It gets its name once it is locked: a reader never takes it for a finished one."""
        self._root.mkdir(parents=True, exist_ok=True)
        mine = sorted(self._root.glob(f"{self._writer_id}-*{_SUFFIX}"))
        # Names are not used again after a reader has removed their segments: readers remember places by name.
        self._number = max(self._number, int(mine[-1].stem.rpartition("-")[2]) if mine else 0) + 1
        final = self._root / f"{self._writer_id}-{self._number:08d}{_SUFFIX}"
        partial = final.with_suffix(".partial")
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.rename(final)
            sync_folder(self._root)
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
        self.close()


def line(content: Mapping[str, Any]) -> bytes:
    """`content` as one line of a segment."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


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


def read(segment: Segment, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The lines' contents from byte `offset` on, and the offset to go on from. A torn end is left alone.

    Raises:
        DataError: a line before the end does not match its checksum.
    """
    texts, end = read_texts(segment, offset)
    return [json.loads(text) for _, text in texts], end


def read_texts(segment: Segment, offset: int = 0) -> tuple[list[tuple[int, bytes]], int]:
    """As `read`, but each line's JSON as it was written, with the byte at which the line begins."""
    with segment.path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    texts, end = _parse(data, segment.name, offset)
    return texts, offset + end


def _parse(data: bytes, name: str, offset: int) -> tuple[list[tuple[int, bytes]], int]:
    """Sound lines and the length of what is sound. Torn bytes are allowed only where nothing sound follows."""
    texts: list[tuple[int, bytes]] = []
    end = position = 0
    while (newline := data.find(b"\n", position)) >= 0:
        checksum, _, text = data[position:newline].partition(b" ")
        if checksum == b"%08x" % zlib.crc32(text):
            if end != position:
                raise DataError(f"log segment {name}: bytes {offset + end} to {offset + position} are damaged")
            texts.append((offset + position, text))
            end = newline + 1
        position = newline + 1
    return texts, end


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
