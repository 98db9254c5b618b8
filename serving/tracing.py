"""Why an item is on a page, or is not: read off the same order that the page is cut from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from models.rerank import Bar
from serving.candidates import CACHED, PERSONALIZED, Candidates, Scored, home_tiers, score
from serving.order import Order
from serving.visit import Visit


@dataclass(frozen=True)
class Trace:
    """One item in one user's home order. Log-odds are of the user's own list, None for items of other tiers."""

    item_no: int
    tier: str | None
    """The first tier that has it; None: none that was read for this page has."""
    rank: int | None
    """From 0, in that tier, before any rule."""
    log_odds: float | None
    """Of the list; for an item that the list lacks, the estimate. The following are added to it."""
    context: float | None
    freshness: float | None
    similar: float | None
    """Gained by similarity to recent items."""
    genre: float | None
    """Gained by watched genres."""
    removed_by: str | None
    """The filter that keeps it away (the label of a `Bar`); None: it may be shown."""
    held_by: str | None
    """The diversity rule that made it wait for a later place; None: none did."""
    place: int | None
    """From 0, in the order; None: not on any place as far as the request's page reaches."""
    placed_as: str | None
    """The tier of its place: that above, or `promoted` or `explored`."""
    propensity: float | None
    """Of its place."""


def explain(visit: Visit, item_no: int) -> Trace:
    """Trace one item through the home order of a visit, down to the end of the page that its request asks for.

    Pure: it makes the order anew, by what makes pages.
    """
    read = list[Candidates]()
    order = Order(visit, _noted(home_tiers(visit), read), diverse=True, pins=True, draws=True)
    order.reach(visit.request.offset + visit.request.limit)
    tier, rank = next(((each, rank) for each in read if (rank := _rank(each, item_no)) is not None), (None, None))
    parts = _parts(score(visit), item_no) if tier is not None and tier.tier in (PERSONALIZED, CACHED) else {}
    bar = visit.bar(item_no)
    place = next((spot for spot, row in enumerate(order.places) if order.pool.item_no[row] == item_no), None)
    return Trace(
        item_no=item_no,
        tier=None if tier is None else tier.tier,
        rank=rank,
        log_odds=parts.get("base"),
        context=parts.get("context"),
        freshness=parts.get("freshness"),
        similar=parts.get("similar"),
        genre=parts.get("genre"),
        removed_by=None if bar == Bar.NONE else bar.label,
        held_by=order.waited_for(item_no),
        place=place,
        placed_as=None if place is None else order.tiers[order.pool.tier[order.places[place]]],
        propensity=None if place is None else order.propensity[place],
    )


def _noted(tiers: Iterable[Candidates], read: list[Candidates]) -> Iterator[Candidates]:
    for tier in tiers:
        read.append(tier)
        yield tier


def _rank(tier: Candidates, item_no: int) -> int | None:
    found = np.flatnonzero(tier.item_no == item_no)
    return int(found[0]) if len(found) else None


def _parts(scored: Scored, item_no: int) -> dict[str, float]:
    index = int(np.flatnonzero(scored.item_no == item_no)[0])
    columns = {name: getattr(scored, name) for name in ("base", "context", "freshness", "similar", "genre")}
    return {name: float(column[index]) for name, column in columns.items() if column is not None}
