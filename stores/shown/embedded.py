"""The log of what was shown in a folder of segments (`stores.eventlog.framing`), for one machine.

A line is a page as `stores.shown.base.Shown` has it, but for item_ids instead of item_no and catalogue. Where pages
had to be dropped, the next line that is written has their number as `dropped`, so that who reads it sees the gap.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stores.eventlog.framing import SEGMENT_BYTES, SegmentWriter, line
from stores.shown.base import Shown, ShownLog

log = logging.getLogger(__name__)
FLUSH_SECONDS = 0.5
CLOSE_SECONDS = 5.0
PAGES_A_WRITE = 32
"""Requests wait for as long as these take to encode, half a millisecond; a write lets them on."""


class EmbeddedShownLog(ShownLog):
    """See `stores.shown.base.ShownLog`. A thread of its own writes; it starts with the first page.

    writer_id: names this writer's segments; no two living writers may share one.
    buffer: pages that may wait; more are dropped.
    on_drop: told how many pages were dropped, from any thread.
    """

    def __init__(
        self,
        root: Path,
        writer_id: str,
        buffer: int,
        on_drop: Callable[[int], None],
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._root = root
        self._buffer = buffer
        self._on_drop = on_drop
        self._writer = SegmentWriter(root, writer_id, segment_bytes)
        self._waiting = deque[Shown]()
        self._lock = threading.Lock()
        """Of the thread's start and of `_dropped`."""
        self._dropped = 0
        self._wake = threading.Event()
        self._closed = False
        self._sealing = False
        self._thread: threading.Thread | None = None

    def add(self, page: Shown) -> None:
        waiting = self._waiting
        if len(waiting) >= self._buffer or self._closed or (self._thread is None and not self._start()):
            self._drop(1)
            return
        waiting.append(page)
        if len(waiting) > self._buffer // 2 and not self._wake.is_set():
            self._wake.set()

    def seal(self) -> None:
        self._sealing = True
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()
        if self._thread is None:
            return
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            log.error("the log %s is stuck: pages of this process are missing from it", self._root)
            return
        self._flush()
        self._writer.close()

    def _start(self) -> bool:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="shown", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # the machine has no thread left
                    log.error("what is shown is not logged: %s", error)
                    return False
                self._thread = thread
        return True

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            sealing, self._sealing = self._sealing, False
            self._flush()
            if sealing:
                self._writer.close()

    def _flush(self) -> None:
        while self._waiting:
            self._write([self._waiting.popleft() for _ in range(min(len(self._waiting), PAGES_A_WRITE))])

    def _write(self, pages: list[Shown]) -> None:
        with self._lock:
            missing, self._dropped = self._dropped, 0
        lines: list[bytes] = []
        for page in pages:
            try:
                lines.append(line(_content(page, 0 if lines else missing)))
            except Exception:  # a page that is none must not cost those beside it
                log.exception("a page cannot be logged")
                self._drop(1)
        if not (lines and self._written(lines)):
            with self._lock:
                self._dropped += missing

    def _written(self, lines: list[bytes]) -> bool:
        try:
            self._writer.append(b"".join(lines), sync=False)
        except OSError as error:
            log.error("%d pages are missing from the log %s: %s", len(lines), self._root, error.strerror)
            self._drop(len(lines))
            return False
        return True

    def _drop(self, pages: int) -> None:
        with self._lock:
            self._dropped += pages
        self._on_drop(pages)


def _content(page: Shown, dropped: int) -> dict[str, Any]:
    catalogue = page["catalogue"]
    content: dict[str, Any] = {
        "request_id": page["request_id"],
        "user_id": page["user_id"],
        "context": page["context"],
        "timestamp": page["timestamp"],
        "item_ids": [catalogue[number] for number in page["item_no"]],
        "positions": [int(position) for position in page["positions"]],
        "propensities": [None if share is None else float(share) for share in page["propensities"]],
        "tiers": list(page["tiers"]),
        "generation": page["generation"],
        "model_version": page["model_version"],
        "assigned": page["assigned"],
        "variant": page["variant"],
        "offset": page["offset"],
    }
    return {**content, "dropped": dropped} if dropped else content
