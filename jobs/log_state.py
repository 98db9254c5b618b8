"""How far the event log is in the table events: one record and one lock, for everybody who moves events there."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from conf.errors import RetryableError
from conf.hours import Hour
from jobs.lake import write_json

STATE_FILE, LOCK, STREAM_LOCK = "ingested.json", "ingest.lock", "stream.lock"
KEPT_HOURS = 1000


@dataclass
class LogState:
    """How far the log has been read, and when each pass over it began."""

    offsets: dict[str, int] = field(default_factory=dict)
    """Where to go on in each part of the log."""
    passes: list[float] = field(default_factory=list)
    """Epoch seconds, rising; of each hour the last that began in it."""
    skew: float = 0.0
    """The largest of all readers so far, in seconds."""
    commits: int = 0
    """Number of the last commit that was begun; each has its own."""
    open: bool = False
    """Whether that one is not known to have ended."""

    @classmethod
    def load(cls, folder: Path) -> LogState:
        file = folder / STATE_FILE
        return cls(**json.loads(file.read_text())) if file.exists() else cls()

    def save(self, folder: Path) -> None:
        by_hour = {began // 3600: began for began in sorted(self.passes)}
        self.passes = list(by_hour.values())[-KEPT_HOURS:]
        write_json(folder / STATE_FILE, asdict(self))

    def has(self, ends: Mapping[str, int]) -> bool:
        """Whether all before these places of the log is in the table."""
        return all(self.offsets.get(part, 0) >= end for part, end in ends.items())

    def no_earlier(self, now: datetime) -> datetime:
        """`now`, or the newest pass where a clock went back: an hour that has read events does not look there again."""
        return max(now, datetime.fromtimestamp(max(self.passes, default=0.0), UTC))

    def note_pass(self, began: float, skew: float) -> None:
        """All that was logged before `began` is in the table."""
        self.passes.append(began)
        self.skew = max(self.skew, skew)

    def watermark(self) -> int:
        """Epoch seconds: every event logged before is in the table. 0: no pass since the log began."""
        return int(max(self.passes, default=self.skew) - self.skew)


class Busy(RetryableError):
    """Somebody else holds what only one may hold."""


@contextmanager
def alone(folder: Path, wait: bool = True) -> Iterator[LogState]:
    """The record as it stands, for one holder at a time; see `held`."""
    with held(folder, LOCK, wait):
        yield LogState.load(folder)


@contextmanager
def held(folder: Path, name: str, wait: bool = True) -> Iterator[None]:
    """Hold a lock. It goes when the process does.

    Raises:
        Busy: another holds it, and `wait` is False.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise Busy(f"{folder / name} is held by another process") from None
        yield


def stream_runs(folder: Path) -> bool:
    """Whether a `topshelf stream` moves the events of the log whose record is in `folder`."""
    try:
        with held(folder, STREAM_LOCK, wait=False):
            return False
    except Busy:
        return True


def watermark(folder: Path, hour: Hour) -> int:
    """Epoch seconds: every event logged before this moment is in what `hour` reads. 0: no pass since the log began."""
    state = LogState.load(folder)
    began = max((began for began in state.passes if began < hour.end.timestamp()), default=state.skew)
    return int(began - state.skew)
