"""An answer before it becomes JSON, cut from an order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from conf.vocabulary import NO_ANCHOR, Source
from models.rerank import OPEN, Bar
from serving.candidates import ALIKE, POPULAR, REASONS, RISEN, SEGMENT
from serving.lookup import Outcome
from serving.order import EXPLORATION, PROMOTION, Order
from serving.snapshot import Snapshot
from serving.visit import Visit

_UNNAMEABLE = frozenset({int(Bar.UNKNOWN), int(Bar.INACTIVE), int(Bar.MATURITY)})
_GENRE, _SIMILAR = int(Source.GENRE), int(Source.SIMILAR)


@dataclass(frozen=True)
class Page:
    """Items of one page of one order. The lists are of equal length."""

    item_no: list[int]
    score: list[float]
    reason: list[str]
    source: str
    """The first tier that gave the page an item; of an empty page, the last that was asked."""
    outcome: Outcome
    """Of the look-up of the user's list."""
    snapshot: Snapshot
    tier: list[str]
    """Of each item: a tier of serving/candidates.py, `promoted` or `explored`."""
    propensity: list[float]
    """Of each item on its place, as serving/exploration.py defines it."""
    places: list[int]
    """Of each item in the order, from 0. A later page passes over those whose items may not be shown any more."""
    offset: int
    """Place in the order where the page begins."""
    next_offset: int
    """Place after the last item: the next page's `offset`."""
    more: bool
    """Whether the order goes on after this page."""
    as_of: float
    """Epoch seconds; the next pages' `as_of`."""
    assigned: str
    """The variant that the user belongs to: champion, challenger, or popular for the baseline group."""
    age_seconds: float | None
    """Of the user's row, where it was remembered because the store did not answer."""

    @property
    def variant(self) -> str:
        """The variant that the page is of: popular also for users of another one who have no list to be had."""
        return POPULAR if self.source in (SEGMENT, POPULAR) else self.snapshot.variant


def cut(visit: Visit, order: Order, now: Visit | None = None, around: int | None = None) -> Page:
    """The page that the request asks for.

    Args:
        now: the same visit at the present time, where `visit` is as of an earlier one: what it bars stays away, and
            the page goes on to the items after it.
        around: the item that the others are similar to.
    """
    request = visit.request
    start = request.offset
    order.reach(start + request.limit)
    places = list(range(start, min(start + request.limit, len(order.places))))
    end = start + len(places)
    if now is not None:
        places, end = _open_places(order, now, start, request.limit)
    chosen = order.pool.take([order.places[place] for place in places])
    tier = [order.tiers[number] for number in chosen.tier.tolist()]
    return Page(
        item_no=chosen.item_no.tolist(),
        score=chosen.score.tolist(),
        reason=_reasons(now or visit, chosen.reason.tolist(), chosen.anchor.tolist(), around),
        source=_source(order, tier),
        outcome=visit.known.outcome,
        snapshot=visit.snapshot,
        tier=tier,
        propensity=[order.propensity[place] for place in places],
        places=places,
        offset=start,
        next_offset=end,
        more=order.goes_on(end),
        as_of=visit.as_of,
        assigned=visit.assigned,
        age_seconds=visit.known.age_seconds,
    )


def _open_places(order: Order, now: Visit, start: int, limit: int) -> tuple[list[int], int]:
    """The first `limit` places from `start` on whose items may be shown now, and the place after the last of them."""
    found, end = list[int](), start
    while len(found) < limit:
        order.reach(end + limit)
        rows = order.places[end : end + limit - len(found)]
        if not rows:
            break
        bars = now.barred(order.pool.item_no[rows], np.zeros(0, np.int32))
        found += [end + place for place, bar in enumerate(bars.tolist()) if bar == OPEN]
        end += len(rows)
    return found, end


def _source(order: Order, tiers: list[str]) -> str:
    present = set(tiers)
    lists = [tier for tier in order.tiers if tier not in (PROMOTION, EXPLORATION)]
    return next((tier for tier in lists if tier in present), lists[-1] if lists else "")


def _reasons(visit: Visit, reasons: Iterable[int], anchors: Iterable[int], around: int | None) -> list[str]:
    pairs = list(zip(reasons, anchors, strict=True))
    # Items of one page have few reasons between them.
    texts = {
        (reason, number): visit.rules.reasons.text(REASONS[reason], _anchor(visit, reason, number, around))
        for reason, number in set(pairs)
    }
    return [texts[pair] for pair in pairs]


def _anchor(visit: Visit, reason: int, number: int, around: int | None) -> str | None:
    """What led to an item: a title the viewer may see, or a genre."""
    body, recent = visit.known.body, visit.recent
    if reason == _GENRE:
        names = visit.snapshot.artefact.genre_names
        return names[number] if number < min(len(names), NO_ANCHOR) else None
    if reason == _SIMILAR and body is not None and number < len(body.anchors):
        return title(visit, body.anchors[number])
    if reason == RISEN and recent is not None and number < len(recent.item_no):
        return title(visit, int(recent.item_no[number]))
    if reason == ALIKE and around is not None:
        return title(visit, around)
    return None


def title(visit: Visit, item_no: int) -> str | None:
    """An item's title, None where the viewer may not read it: it is above their maturity limit, or was taken out.

    What left their region or their subscription may still be named as something that they watched.
    """
    bars = visit.bars.bars
    if int(bars[min(item_no, len(bars) - 1)]) in _UNNAMEABLE:
        return None
    return visit.snapshot.artefact.titles[item_no]
