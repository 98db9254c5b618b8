"""What each user did since their list was made: the contract of the session stores."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

HIDING_EVENTS = frozenset({"watch", "rate", "not_interested"})
"""After one of these an item is not recommended again. The batch takes a rated item for a seen one, too."""
MAX_HIDDEN = 5_000
"""Items hidden for one user."""
MAX_EVENTS = 100
"""Of one user, beside those that hide an item."""


class SessionEvent(NamedTuple):
    """A tuple, for a request may read hundreds."""

    item_no: int
    event_type: str
    """One of EVENT_TYPES."""
    timestamp: float
    """Epoch seconds at which it happened."""
    logged_at: float = math.inf
    """Epoch seconds at which the event log was known to have it: taken after `append` returned, never before."""


class Sessions(ABC):
    """The newest events of each user, shared by all workers. Thread-safe; connects on first use, so after a fork.

    Events that hide an item are kept apart from the others, so that no number of impressions and clicks pushes one
    out: the newest of each item, for the 5,000 items hidden last. Of the others, the newest 100 are kept.

    Retention: nothing is dropped because time went by. An event leaves a session when a newer one of its item takes
    its place, when it is beyond those numbers, or when `trim` is told of a moment that it lies before. Whoever calls
    `trim` answers for that moment: `stores.sessions.retention` gives the one that no list in the user's ring is behind.
    """

    @abstractmethod
    def apply(self, user_id: str, events: Sequence[SessionEvent]) -> int:
        """Add events, all or none; every read that begins afterwards, in any process, sees those that are kept.

        The same event counts once. An event that hides an item takes the place of an older one of that item.

        Returns:
            How many events the session holds now.

        Raises:
            StoreTimeout: no answer in time; they may have been added or not.
            StoreUnavailable, StoreFull: they were not added.
        """

    @abstractmethod
    def trim(self, user_id: str, passed: float) -> None:
        """Drop the events that both happened and were logged before `passed`, epoch seconds.

        Both, for an hour learns from an event only once the hour is later than the event's own timestamp, which may lie
        some minutes in the future.

        Raises:
            StoreTimeout, StoreUnavailable: they may still be there, which does no harm.
        """

    @abstractmethod
    def read(self, user_id: str) -> tuple[SessionEvent, ...]:
        """The user's events by time, newest first: at most 5,000 of HIDING_EVENTS, one an item, and 100 others.

        Raises:
            StoreTimeout, StoreUnavailable: they could not be read.
        """

    @abstractmethod
    def forget(self, user_id: str) -> None:
        """Drop all of a user's events. Unknown users are fine.

        Raises:
            StoreTimeout, StoreUnavailable: they may still be there.
        """

    @abstractmethod
    def scrub(self) -> str:
        """Have the bytes of what was dropped leave the files of the session store. May be repeated.

        Returns, for a person, what is left and until when; empty: nothing is.

        Raises:
            StoreFull, StoreUnavailable: they are still there.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and files. The store may be used again: it reconnects."""
