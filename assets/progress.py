"""How a publication tells its progress: a bar in a terminal, a line from time to time elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from jobs import load

LINE_SECONDS = 10.0


class Listener:
    """See `jobs.load.Listener`. log: takes a line of text."""

    def __init__(self, log: Callable[[str], None], bar: Progress | None, clock: Callable[[], float]) -> None:
        self._log = log
        self._bar = bar
        self._clock = clock
        self._task: TaskID | None = None
        self._last = clock()

    def say(self, text: str) -> None:
        self._log(text)

    def progress(self, progress: load.Progress) -> None:
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("", total=progress.planned)
            self._bar.update(self._task, completed=progress.written + progress.rejected, description=line(progress))
        elif self._clock() - self._last >= LINE_SECONDS:
            self._last = self._clock()
            self._log(line(progress))


@contextmanager
def listening(log: Callable[[str], None]) -> Iterator[Listener]:
    """A listener whose bar, where standard error is a terminal, is there for the time of the block."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield Listener(log, None, time.monotonic)
        return
    with Progress(BarColumn(), TextColumn("{task.description}"), console=console, transient=True) as bar:
        yield Listener(log, bar, time.monotonic)


def line(progress: load.Progress) -> str:
    """A load's progress in one line."""
    left = progress.seconds_left
    return (
        f"{progress.written:,} of {progress.planned:,} rows written, {progress.unchanged:,} unchanged, "
        f"{progress.rejected:,} rejected, {progress.rate:,.0f} rows/s"
        + (f", slowed down {progress.throttled:,} times" if progress.throttled else "")
        + ("" if left is None or left < 1 else f", {_span(left)} left")
    )


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
