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
"""Member that `append` adds: epoch seconds at which the append began."""


class EventLogUnavailable(RetryableError):
    """The log does not answer, or does not have all of the events that it was given."""


class EventLog(ABC):
    """One writer's end of the log. Thread-safe; opens on first use, so after a fork."""

    @abstractmethod
    def append(self, events: Sequence[Event]) -> None:
        """Append events in order. When this returns they survive a crash of process and machine.

        Raises:
            EventLogUnavailable: not all of them are known to be there. Trying again is safe, also where some are: an
                event that is in the log twice counts once, by its event_id.
        """

    @abstractmethod
    def seal(self) -> None:
        """Begin a new part of the log: the one before never grows again, so that it can be removed once it is read."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the log; nothing is pending."""


def derive_event_id(user_id: str, event_type: str, item_id: str, timestamp: str) -> str:
    """The id of an event that came without one: the same event sent twice has the same id."""
    text = "\x1f".join((user_id, event_type, item_id, timestamp))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
