"""The answer to why: steps in the order in which they happen, each with what it did to the item."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Mark(StrEnum):
    PASSED = "passed"
    STOPPED = "stopped"
    MOVED = "moved"
    SAID = "said"
    """It tells of the item, and decides nothing."""
    UNKNOWN = "unknown"
    """What happened here can no longer be known; the text has the reason."""


@dataclass(frozen=True)
class Step:
    stage: str
    mark: Mark
    text: str


@dataclass(frozen=True)
class Answer:
    user_id: str
    item_id: str
    title: str
    verdict: str
    """In one sentence."""
    service: tuple[Step, ...]
    batch: tuple[Step, ...]
    """Empty: it was not asked for."""
    trace: dict[str, Any]
    """Of `Recommender.explain`, by its names; item_no is left out."""

    def as_json(self) -> dict[str, Any]:
        """Types of JSON only."""
        return asdict(self)
