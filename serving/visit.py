"""One request for one page: what is known at its time, and the filter that every item for it passes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from conf.rules import Rules
from models.rerank import FEW, OPEN, Bar, among, bars_of
from serving.eligibility import Bars, Catalogue, Eligibility
from serving.lookup import Known
from serving.request import POPULAR, Limits, Request, assigned, tightened
from serving.session import Recent, recent
from serving.snapshot import Snapshot
from stores.sessions.base import HIDING_EVENTS, SessionEvent

_HOURS_A_DAYPART = 6
_HIDDEN, _SHOWN = int(Bar.HIDDEN), int(Bar.SHOWN)


@dataclass(frozen=True, eq=False)
class Visit:
    """Everything that a page is made from. Equal visits give equal pages."""

    snapshot: Snapshot
    catalogue: Catalogue
    rules: Rules
    known: Known
    request: Request
    limits: Limits
    bars: Bars
    """At `as_of`."""
    as_of: float
    """Epoch seconds; of the first page."""
    hidden: NDArray[np.int32]
    """What the viewer must not see again, as it was at `as_of`."""
    recent: Recent | None
    assigned: str
    """The variant that the user belongs to."""
    newcomers_from: int
    """Items from this number on came after the user's list, so that their lacking there means nothing."""

    @property
    def personalized(self) -> bool:
        return self.assigned != POPULAR

    def barred(self, item_no: NDArray[np.int32], shown: NDArray[np.int32]) -> NDArray[np.uint8]:
        """(n,) what keeps each item off the page: a `Bar`. This is the filter of every tier, shelf, pin and draw.

        shown: item_nos that stand on the page already.
        """
        bars = bars_of(self.bars.bars, item_no)
        for numbers, bar in ((self.hidden, _HIDDEN), (shown, _SHOWN)):
            if not len(numbers):
                continue
            if len(numbers) <= FEW:
                inside = among(item_no, numbers)
            else:
                marks = np.zeros(len(self.bars.bars), bool)
                marks[np.minimum(numbers, len(marks) - 1)] = True
                inside = marks[np.minimum(item_no, len(marks) - 1)]
            bars[inside & (bars == OPEN)] = bar
        return bars

    def open(self, shown: NDArray[np.int32]) -> NDArray[np.bool_]:
        """(n,) the items of the whole catalogue that `barred` lets pass."""
        mask: NDArray[np.bool_] = self.bars.bars == OPEN
        for numbers in (self.hidden, shown):
            mask[np.minimum(numbers, len(mask) - 1)] = False
        return mask[:-1]

    def bar(self, item_no: int) -> Bar:
        """Of one item, on an empty page."""
        return Bar(int(self.barred(np.array([item_no], np.int32), np.zeros(0, np.int32))[0]))

    def at(self, eligibility: Eligibility, now: float) -> Visit:
        """The same visit with all that bars an item by now."""
        hidden = np.array(sorted({*self.hidden.tolist(), *self.known.viewer.hidden}), np.int32)
        return replace(self, bars=eligibility.bars(self.snapshot, self.limits, now), hidden=hidden)

    def context_term(self, item_no: NDArray[np.int32]) -> NDArray[np.float32]:
        """(k,) c(context)·v(i) of each of k items, for the page, the time, and where the user is at home."""
        moment = datetime.fromtimestamp(self.as_of, UTC)
        daypart, body = moment.hour // _HOURS_A_DAYPART, self.known.body
        region = None if body is None else body.region
        return self.snapshot.artefact.context_term(item_no, self.request.page, daypart, moment.weekday(), region)


def time_of(now: float, events: Sequence[SessionEvent]) -> float:
    """`as_of` of a first page, epoch seconds.

    A device's clock may run ahead: what it reported counts at once, and on all pages of the order.
    """
    return max(now, events[0].timestamp) if events else now


def begin(
    eligibility: Eligibility,
    rules: Rules,
    snapshot: Snapshot,
    known: Known,
    request: Request,
    now: float,
    exclude: Iterable[int] = (),
) -> Visit:
    """Gather what a page is made from.

    Args:
        now: epoch seconds.
        exclude: further items that must not be on the page.
    """
    events, snapshot = known.events, snapshot.of(known.variant)
    as_of = time_of(now, events) if request.as_of is None else request.as_of
    hidden = {*known.viewer.hidden, *exclude}
    if request.as_of is not None:
        hidden -= {event.item_no for event in events if event.timestamp > as_of and event.event_type in HIDING_EVENTS}
        # What was hidden for another reason than a session stays so, whatever the user does with it afterwards.
        hidden.update(known.body.anchors if known.body is not None else (), exclude)
    then = snapshot if request.as_of is None else snapshot.as_of(as_of)
    limits = tightened(known.viewer, request, snapshot.artefact, rules)
    return Visit(
        snapshot=snapshot,
        catalogue=eligibility.catalogue(snapshot.artefact),
        rules=rules,
        known=known,
        request=request,
        limits=limits,
        bars=eligibility.bars(then, limits, now if request.as_of is None else as_of),
        as_of=as_of,
        hidden=np.fromiter(hidden, np.int32, len(hidden)),
        recent=recent(events, known.watermark, as_of, len(snapshot.artefact), rules.session) if events else None,
        assigned=assigned(request.user_id, rules.baseline, snapshot.control.rollout),
        newcomers_from=snapshot.newcomers_from(known.generation),
    )
