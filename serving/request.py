"""What a page is asked for."""

from __future__ import annotations

from dataclasses import dataclass

HOME, SEARCH, ALIKE = "home", "search", "similar"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One page of one order. All pages of an order have the same user, seed, page and limits."""

    user_id: str | None
    """None: an unknown viewer, so the strictest profile."""
    limit: int
    seed: str
    """The request id of the first page."""
    offset: int = 0
    """Place in the order where the page begins: `next_offset` of the page before."""
    page: str = HOME
    maturity_limit: int | None = None
    """Of the token; tightens the viewer's own. None: nothing to tighten. Likewise the others."""
    region: str | None = None
    tier: str | None = None
    as_of: float | None = None
    """`as_of` of the first page, epoch seconds; None: now."""
