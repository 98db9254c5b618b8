"""A publication without Spark: the calls of jobs/publish.py to the store, over a plan and a table kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from conf.errors import TopshelfError
from jobs.publish import control_of
from stores.base import RING, ControlConflict, Row, Store, StoreFull, StoreUnavailable, WriteReport, choose
from stores.control import Control
from stores.generation import Generation
from stores.records import encode_row
from tests.faults.world import World
from tests.jobs.publishing import NOW, encoded

OnTheWay = Callable[[Iterator[Row]], Iterator[Row]]
"""What happens to rows on their way to the store's writer."""


@dataclass
class Attempt:
    hour: int
    leased: Control
    plan: dict[str, tuple[int, list[int]]]
    """Ring position and list of each user."""
    again: set[str]
    """Users of the plan whom an attempt before had planned too."""

    @property
    def number(self) -> int:
        return self.leased.attempts

    def rows(self) -> Iterator[Row]:
        for user, (place, items) in self.plan.items():
            yield Row(user, 0, place, encode_row(encoded(items), self.number, 0))


@dataclass
class Driver:
    """The publisher of one store."""

    store: Store
    world: World
    now: Callable[[], datetime] = lambda: NOW
    places: dict[str, int] = field(default_factory=dict)
    """Ring position of the list that each user has live."""
    left_behind: set[str] = field(default_factory=set)
    """Users whom attempts had planned that were never switched to."""
    under_way: Attempt | None = None
    recovered: int = 0
    """Rows written for users whom an attempt that failed had planned."""

    def publish(self, number: int, on_the_way: OnTheWay = iter) -> WriteReport:
        """An hour, from its lease to the switch. What stops it is raised; the next one makes up for it."""
        attempt = self.begin(number)
        try:
            report = self.load(attempt, on_the_way)
            self.switch(attempt)
        except TopshelfError:
            self._give_up(attempt)
            raise
        return report

    def begin(self, number: int) -> Attempt:
        """Take the lease, from whoever has it, and plan."""
        if self.under_way is not None:
            self.left_behind |= self.under_way.plan.keys()
        held = control_of(self.store)
        leased = held.begun(held.attempts + 1)
        self.store.swap_control(held, leased)
        live = held.generation()
        wanted = self.world.changed(None if live is None else self.world.number(live.hour), number)
        lists = self.world.lists(number)
        wanted |= {user: lists[user] for user in self.left_behind if user in lists}
        plan = {user: ((self.places.get(user, RING - 1) + 1) % RING, items) for user, items in wanted.items()}
        self.under_way = Attempt(number, leased, plan, self.left_behind & plan.keys())
        return self.under_way

    def load(self, attempt: Attempt, on_the_way: OnTheWay = iter) -> WriteReport:
        """Every row of the plan is written, or this raises."""
        report = self.store.write(on_the_way(attempt.rows()), attempt.number)
        assert len(attempt.plan) == report.written + len(report.rejected)
        assert report.rejected == ()
        return report

    def after(self, attempt: Attempt) -> Control:
        """The control record as the switch leaves it."""
        hour = str(self.world.hour(attempt.hour))
        return attempt.leased.switched(Generation(attempt.number, "a", "v1", hour, self.now().isoformat()))

    def differing(self, attempt: Attempt) -> list[str]:
        """Users of the plan who would not get their list after the switch."""
        after = self.after(attempt)
        found = {user: choose(self.store.ring(user), after) for user in attempt.plan}
        return [
            user
            for user, (_, items) in attempt.plan.items()
            if (one := found[user]) is None or one.body.item_no.tolist() != items
        ]

    def switch(self, attempt: Attempt) -> None:
        assert self.differing(attempt) == []
        self.store.swap_control(attempt.leased, self.after(attempt))
        self.places |= {user: place for user, (place, _) in attempt.plan.items()}
        self.recovered += len(attempt.again)
        self.left_behind -= attempt.plan.keys()
        self.under_way = None

    def check(self, number: int) -> None:
        """Everybody reads the list of that hour, nothing stands twice, and nobody may write."""
        check_store(self.store, self.world, number)
        control = self.store.read_control()
        assert control is not None
        assert control.lease is None

    def _give_up(self, attempt: Attempt) -> None:
        self.left_behind |= attempt.plan.keys()
        self.under_way = None
        # Where it cannot be given back, the next attempt takes the lease over.
        with suppress(ControlConflict, StoreUnavailable, StoreFull):
            self.store.swap_control(attempt.leased, attempt.leased.given_up())


def check_store(store: Store, world: World, number: int) -> None:
    """Every user reads exactly the list of that hour; no ring has more than its three rows."""
    control = store.read_control()
    assert control is not None
    live = control.generation()
    assert live is not None
    assert live.hour == str(world.hour(number))
    users = world.everyone()
    found = {user: choose(store.ring(user), control) for user in users}
    read = {user: None if one is None else one.body.item_no.tolist() for user, one in found.items()}
    assert read == {user: world.items(user, number) for user in users}
    assert len(world.lists(number)) <= store.count() <= RING * len(users)
