"""A writer that slept between its look at the lease and its batch, and wakes up after a later attempt took over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from conf.settings import Settings
from stores.base import LeaseLost, Store, choose
from stores.opening import open_store
from tests.faults.driver import Attempt, Driver
from tests.faults.meddling import through
from tests.faults.watching import Watch, patient

PATIENCE_SECONDS = 300


class Zombie:
    """Writes an attempt's rows in a thread of its own, which stops where the first of them is sent until `wake`."""

    def __init__(self, settings: Settings, attempt: Attempt) -> None:
        self._attempt = attempt
        self._awake, self._at_the_door = threading.Event(), threading.Event()
        self._closing = ExitStack()
        self._store = self._closing.enter_context(self._open(settings))
        self._thread = threading.Thread(target=self._run)
        self.error: BaseException | None = None

    def __enter__(self) -> Zombie:
        self._thread.start()
        assert self._at_the_door.wait(PATIENCE_SECONDS)
        return self

    def wake(self) -> None:
        """Returns once it has written what it can."""
        self._awake.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    def __exit__(self, *_: object) -> None:
        self._awake.set()
        self._thread.join(PATIENCE_SECONDS)
        self._closing.close()

    def _wait(self, what: str = "write") -> None:
        if what == "write":
            self._at_the_door.set()
            self._awake.wait(PATIENCE_SECONDS)

    @contextmanager
    def _open(self, settings: Settings) -> Iterator[Store]:
        if settings.store.kind != "embedded":
            with through(settings, self._wait) as slept, open_store(slept) as store:
                yield store
            return
        with open_store(settings) as store:
            # Its look at the lease is a part of the transaction, so this is as late as it can sleep.
            put: Callable[..., Any] = store._put  # type: ignore[attr-defined]
            store._put = lambda *batch: (self._wait(), put(*batch))  # type: ignore[attr-defined]
            yield store

    def _run(self) -> None:
        try:
            self._store.write(self._attempt.rows(), self._attempt.number)
        except LeaseLost as error:
            self.error = error


def test_rows_that_come_before_the_later_switch(driver: Driver, chosen, world, table, tmp_path):
    driver.publish(0)
    with Watch(patient(chosen), world, tmp_path) as watch, Zombie(chosen, driver.begin(1)) as zombie:
        later = driver.begin(2)
        driver.load(later)
        watch.wait_for()
        zombie.wake()
        lost = driver.differing(later)
        if chosen.store.kind == "dynamodb":
            # Whom the dead attempt had planned is read back to the last, so nothing of it goes live.
            assert lost
            assert set(lost) <= later.again
            driver.publish(2)
        else:
            assert lost == []
            driver.switch(later)
        driver.check(2)
        watch.wait_for()
    assert chosen.store.kind != "embedded" or isinstance(zombie.error, LeaseLost)
    table.add("zombie before the switch", chosen.store.kind, watch.found, driver.recovered)


def test_rows_that_come_after_the_later_switch(driver: Driver, store, chosen, world, table, tmp_path):
    driver.publish(0)
    can_be_late = chosen.store.kind == "dynamodb"
    with Watch(patient(chosen), world, tmp_path, older=can_be_late) as watch:
        with Zombie(chosen, first := driver.begin(1)) as zombie:
            driver.switch(loaded(driver, 2))
            watch.wait_for()
            zombie.wake()
            watch.wait_for()
        control = store.read_control()
        rings = {user: choose(store.ring(user), control) for user in first.plan}
        late = {user for user, found in rings.items() if found is None or found.generation != control.current}
        if can_be_late:
            assert late  # each has the list from before, as the reader in its process checks
            driver.publish(3)
            kept = late - world.changed(2, 3).keys()
            still = {user for user in world.everyone() if items(store, user) != world.items(user, 3)}
            assert still == kept
        else:
            driver.check(2)
            driver.publish(3)
            driver.check(3)
        watch.wait_for()
    table.add("zombie after the switch", chosen.store.kind, watch.found, driver.recovered)


def loaded(driver: Driver, number: int) -> Attempt:
    attempt = driver.begin(number)
    driver.load(attempt)
    return attempt


def items(store: Store, user: str) -> list[int] | None:
    found = choose(store.ring(user), store.read_control())
    return None if found is None else found.body.item_no.tolist()
