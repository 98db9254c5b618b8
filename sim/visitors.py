"""Simulated users who visit the home page of a real service after the record's end, and act on what they find there.

They look, click, watch, list, rate and refuse by the very rules by which the record was made (`sim.behaviour`), and
know nothing of how a page came about. Who visits when, how far they scroll, and every random number of a visit depend
on the world and the seed alone: two services are visited by the same users at the same times with the same numbers, so
that what differs between them comes from their pages.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from sim.behaviour import (
    DEVICES,
    NONE,
    PAGES,
    TYPES,
    Log,
    Sessions,
    act,
    appeals,
    impressions,
    make_sessions,
    row_length,
)
from sim.catalogue import DAY_MS, Floats, Ints
from sim.client import Api, Page
from sim.world import World

HOME = PAGES.index("home")
IMPRESSION, CLICK, WATCH = (TYPES.index(name) for name in ("impression", "click", "watch"))
PER_ITEM_MS = 150
"""From one item coming into view to the next."""


@dataclass(order=True)
class _Pending:
    """Deeds of a visit that the service is told of at `time`."""

    time: int
    number: int
    visit: int = field(compare=False)
    page: Page = field(compare=False)
    deeds: Log = field(compare=False)
    known: frozenset[int] = field(compare=False)
    """What of the page the user had clicked before, as `Visitors._pairs` numbers it."""


@dataclass(frozen=True)
class Outcome:
    """What the service was told of each visit. Arrays of length n, one entry a visit, in the order of time."""

    user: Ints
    begin: Ints
    """ms since 1970."""
    impressions: Ints
    clicks: Ints
    first_clicks: Ints
    """Those of them on titles that the user had not clicked before."""
    watches: Ints
    seconds: Ints
    """Watched."""
    source: list[str]
    """Of the page; empty for visits that did not take place yet."""


class Visitors:
    """The visits of `days` days after the record's end, played piece by piece against one service.

    set_clock: told the time (ms since 1970) before each request.
    """

    def __init__(self, world: World, days: int, set_clock: Callable[[int], None]) -> None:
        self._world, self._set_clock = world, set_clock
        start = int(world.end.timestamp() * 1000)
        rng = np.random.default_rng([world.seed, 1])
        sessions = make_sessions(rng, world.audience, start, start + days * DAY_MS)
        sessions = sessions.where(sessions.page == HOME)
        self.sessions: Sessions = sessions.where(np.argsort(sessions.begin, kind="stable"))
        self._length = row_length(rng, self.sessions.page)
        self._user_ids: list[str] = world.audience.table["user_id"].to_pylist()
        self._item_ids: list[str] = world.catalogue.table["item_id"].to_pylist()
        self._item_no = {item_id: number for number, item_id in enumerate(self._item_ids)}
        clicks = world.log.where(world.log.kind == CLICK)
        self._clicked = set(self._pairs(clicks).tolist())
        self._next, self._pending, self._told = 0, list[_Pending](), 0
        self._sums = np.zeros((len(self.sessions.user), len(TYPES)), np.int64)
        self._first = np.zeros(len(self.sessions.user), np.int64)
        self._seconds = np.zeros(len(self.sessions.user), np.int64)
        self._source = [""] * len(self.sessions.user)

    def play(self, api: Api, until: int) -> None:
        """All that happens before `until` (ms since 1970), in the order of time. Watches that end later are pending."""
        begin = self.sessions.begin
        while True:
            visit = int(begin[self._next]) if self._next < len(begin) else until
            deed = self._pending[0].time if self._pending else until
            if min(visit, deed) >= until:
                return
            if deed <= visit:
                self._tell(api, heapq.heappop(self._pending))
            else:
                self._visit(api, self._next)
                self._next += 1

    def outcome(self) -> Outcome:
        """As far as it was played."""
        counts = self._sums
        return Outcome(
            self.sessions.user, self.sessions.begin, counts[:, IMPRESSION], counts[:, CLICK], self._first,
            counts[:, WATCH], self._seconds, self._source,
        )  # fmt: skip

    @property
    def told(self) -> int:
        """Events that the service has confirmed."""
        return int(self._sums.sum())

    def _visit(self, api: Api, visit: int) -> None:
        world, user, begin = self._world, int(self.sessions.user[visit]), int(self.sessions.begin[visit])
        self._set_clock(begin)
        page = api.home(self._user_ids[user])
        self._source[visit] = page.source
        in_view = page.item_ids[: self._length[visit]]
        item = np.array([self._item_no[item_id] for item_id in in_view], np.int64)
        place = np.arange(len(item))
        shown = impressions(
            np.full(len(item), visit), place, user=np.full(len(item), user), item=item, time=begin + PER_ITEM_MS * place
        )
        pairs = self._pairs(shown)
        before = np.array([pair in self._clicked for pair in pairs.tolist()], bool)
        appeal: Floats = appeals(world.audience, world.catalogue, world.moods, shown)
        rng = np.random.default_rng([world.seed, 2, visit])
        done = act(rng, world.catalogue, shown, appeal, self.sessions.page[shown.session], before)
        self._clicked.update(self._pairs(done.where(done.kind == CLICK)).tolist())
        self._put_off(visit, page, done, frozenset(pairs[before].tolist()))

    def _put_off(self, visit: int, page: Page, done: Log, known: frozenset[int]) -> None:
        """Impressions are told together, once the last item is in view; every other deed when it has happened."""
        done = done.where(np.argsort(done.time, kind="stable"))
        seen = done.kind == IMPRESSION
        parts = [done.where(seen), *(done.where(np.array([at])) for at in np.flatnonzero(~seen).tolist())]
        for part in parts:
            if len(part.time):
                self._told += 1
                heapq.heappush(self._pending, _Pending(int(part.time[-1]), self._told, visit, page, part, known))

    def _tell(self, api: Api, pending: _Pending) -> None:
        self._set_clock(pending.time)
        visit, deeds = pending.visit, pending.deeds
        api.tell(self._user_ids[self.sessions.user[visit]], self._events(visit, pending.page, deeds))
        self._sums[visit] += np.bincount(deeds.kind, minlength=len(TYPES))
        clicked = self._pairs(deeds.where(deeds.kind == CLICK)).tolist()
        self._first[visit] += sum(pair not in pending.known for pair in clicked)
        self._seconds[visit] += int(deeds.seconds[deeds.kind == WATCH].sum())

    def _events(self, visit: int, page: Page, deeds: Log) -> list[dict[str, Any]]:
        context = {
            "device": DEVICES[self.sessions.device[visit]],
            "page": PAGES[HOME],
            "recommendation_id": page.request_id,
            "model_version": page.model_version,
        }
        return [
            {
                "event_type": TYPES[deeds.kind[at]],
                "item_id": self._item_ids[deeds.item[at]],
                "timestamp": datetime.fromtimestamp(int(deeds.time[at]) / 1000, UTC).isoformat(),
                "watch_duration_sec": _known(deeds.seconds[at]),
                "completed": None if deeds.completed[at] == NONE else bool(deeds.completed[at]),
                "rating": None if deeds.half_stars[at] == NONE else float(deeds.half_stars[at]) / 2,
                "context": {**context, "position": _known(deeds.position[at])},
            }
            for at in range(len(deeds.time))
        ]

    def _pairs(self, log: Log) -> Ints:
        return log.user * len(self._item_ids) + log.item


def _known(value: np.integer[Any]) -> int | None:
    return None if value == NONE else int(value)
