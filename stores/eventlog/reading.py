"""The log's other end: what is new since the last pass over it, for whoever moves it into the lake."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """What stands at one place of the log: an event as JSON, if nobody else wrote there."""

    part: str
    """Of the log: a segment, or the topic's id with the number of the partition."""
    offset: int
    """Within the part."""
    value: bytes | None
    """None: a record without a value."""


@dataclass(frozen=True)
class Batch:
    """Records of some part of the log, in its order."""

    records: list[Record]
    """Of events, the JSON of what `append` took, with logged_at."""
    positions: dict[str, int]
    """Where to go on in the parts of the log that this batch is from, once its events are safe elsewhere."""
    dropped: int = 0
    """Records that the log had dropped before they could be read."""


class EventLogReader(ABC):
    """Reads the log without changing it: whoever reads keeps the positions. Not thread-safe."""

    skew_seconds: float
    """How far the clocks of those who append may be behind the reader's: what they log so long before a `read` begins,
    by their clocks, is in it."""

    @abstractmethod
    def read(self, positions: Mapping[str, int]) -> Iterator[Batch]:
        """What was appended since `positions` (an unknown part of the log: since its beginning).

        Every event whose `append` returned before the first batch is asked for is in some batch; a batch may be long,
        but holds no more than fits in memory. At least once: an event may be in the log twice, under one event_id.

        Raises:
            DataError: the log is damaged; the text says where.
            EventLogUnavailable: it cannot be read now; batches before that stay good.
        """

    @abstractmethod
    def gone_by(self, now: float) -> float | None:
        """Epoch seconds by which the log has dropped by itself what was appended until `now`; None: it never does.

        Raises:
            EventLogUnavailable: it cannot be asked now.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections."""
