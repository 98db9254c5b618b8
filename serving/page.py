"""An answer before it becomes JSON, cut from an order."""

from __future__ import annotations

from dataclasses import dataclass

from serving.recommender import Page as Whole

__all__ = ["Page", "Whole"]


@dataclass(frozen=True)
class Page(Whole):
    tier: list[str]
    """Of each item."""
    propensity: list[float]
    """Of each item on its place."""
    offset: int
    """Place of the first item in the order."""
    next_offset: int
    """Place after the last item: the next page's `offset`."""
    more: bool
    """Whether the order goes on after this page."""
    as_of: float
    """Epoch seconds; the next pages' `as_of`."""
    assigned: str
