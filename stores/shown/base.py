"""The log of what was shown: every page that was answered, for analysts and for off-policy estimates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypedDict


class Shown(TypedDict):
    """One page. The sequences have an entry for each item, in the order shown; nobody changes them afterwards."""

    request_id: str
    user_id: str | None
    """None: nobody was named."""
    context: str
    """home, shelves, search or similar"""
    timestamp: float
    """Epoch seconds."""
    item_no: Sequence[int]
    catalogue: Sequence[str]
    """item_id by item_no, as in `stores.artefact.Artefact.item_ids`; looked up when the page is written."""
    positions: Sequence[int]
    """From 0, over all pages of one cursor."""
    propensities: Sequence[float | None]
    """Probability with which the item was drawn for its position; None: it was not drawn."""
    tiers: Sequence[str]
    """What each item is from."""
    generation: int
    model_version: str
    assigned: str
    """The variant that the user belongs to."""
    variant: str
    """The variant that the page is of, which differs from `assigned` where a fault moved it down a tier."""
    offset: int
    """Of the page within its cursor."""


class ShownLog(ABC):
    """One process's end of the log. Thread-safe. What it loses it counts: an answer never waits for it."""

    @abstractmethod
    def add(self, page: Shown) -> None:
        """Have a page logged within a second or so. Never blocks, never raises.

        Returning does not mean that it will be there: pages are dropped, and counted, where they come faster than
        they can be written, and a kill loses those of the last second.
        """

    @abstractmethod
    def seal(self) -> None:
        """Begin a new part of the log within a second or so: the one before never grows again. Never blocks."""

    @abstractmethod
    def close(self) -> None:
        """Write what waits, within some seconds. What is added afterwards is dropped and counted."""
