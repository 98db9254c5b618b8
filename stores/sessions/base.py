"""What each user did since their list was made: the contract of the session stores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

MAX_EVENTS = 100


@dataclass(frozen=True)
class SessionEvent:
    item_no: int
    event_type: str
    """One of EVENT_TYPES."""
    timestamp: float
    """Epoch seconds at which it happened."""


class Sessions(ABC):
    """The newest events of each user, shared by all workers. Thread-safe; connects on first use."""

    @abstractmethod
    def apply(self, user_id: str, event: SessionEvent) -> None:
        """Add an event; every read that begins afterwards, in any process, sees it. The same event counts once.

        Raises:
            StoreUnavailable: it could not be added.
        """

    @abstractmethod
    def read(self, user_id: str) -> tuple[SessionEvent, ...]:
        """The user's events by time, newest first, at most 100.

        Raises:
            StoreTimeout, StoreUnavailable: they could not be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and files."""
