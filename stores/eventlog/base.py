"""The log of what users do: appended and synced before anyone is told, read later by the batch."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from conf.errors import RetryableError

Event = Mapping[str, Any]
"""A row of the events table without ingested_at, date and hour; timestamp is text, UTC, ISO 8601."""
LOGGED_AT = "logged_at"
"""Member that `append` adds: epoch seconds of the append."""


class EventLogUnavailable(RetryableError):
    """The log did not take the events: none of them counts."""


class EventLog(ABC):
    """One writer's end of the log. Thread-safe; opens on first use."""

    @abstractmethod
    def append(self, events: Sequence[Event]) -> None:
        """Append events in order. When this returns they survive a crash of process and machine.

        Raises:
            EventLogUnavailable: they were not appended; trying again is safe.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the log; nothing is pending."""


def derive_event_id(user_id: str, event_type: str, item_id: str, timestamp: str) -> str:
    """The id of an event that came without one: the same event sent twice has the same id."""
    text = "\x1f".join((user_id, event_type, item_id, timestamp))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
