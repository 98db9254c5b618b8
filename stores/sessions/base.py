"""What each user did since their list was made: the contract of the session stores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

HIDING_EVENTS = frozenset({"watch", "rate", "not_interested"})
"""After one of these an item is not recommended again. The batch takes a rated item for a seen one, too."""
MAX_HIDDEN = 5_000
"""Items hidden for one user."""
MAX_EVENTS = 100
"""Of one user, beside those that hide an item."""


@dataclass(frozen=True)
class SessionEvent:
    item_no: int
    event_type: str
    """One of EVENT_TYPES."""
    timestamp: float
    """Epoch seconds at which it happened."""


class Sessions(ABC):
    """The newest events of each user, shared by all workers. Thread-safe; connects on first use.

    Events that hide an item are kept apart from the others, so that no number of impressions and clicks pushes one
    out: the newest of each item, for the 5,000 items hidden last. Of the others, the newest 100 are kept.
    """

    @abstractmethod
    def apply(self, user_id: str, event: SessionEvent) -> None:
        """Add an event; every read that begins afterwards, in any process, sees it, if it is one that is kept.

        The same event counts once. An event that hides an item takes the place of an older one of that item.

        Raises:
            StoreUnavailable: it could not be added.
        """

    @abstractmethod
    def read(self, user_id: str) -> tuple[SessionEvent, ...]:
        """The user's events by time, newest first: at most 5,000 of HIDING_EVENTS, one an item, and 100 others.

        Raises:
            StoreTimeout, StoreUnavailable: they could not be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and files."""
