"""Rows that were damaged, and publishers whose clock is wrong."""

from __future__ import annotations

import random
import time
from datetime import timedelta

from stores.base import Row, Store, choose
from stores.records import CorruptRecord
from tests.faults.driver import Driver
from tests.faults.watching import Watch, patient
from tests.jobs.publishing import NOW

DAY = 86_400


def damage(store: Store, rows: list[Row], draw: random.Random) -> None:
    """Flip one to three bits of each row, by a writer of its own that gives up."""
    flipped = []
    for row in rows:
        blob = bytearray(row.blob)
        for place in draw.sample(range(len(blob)), draw.randint(1, 3)):
            blob[place] ^= 1 << draw.randrange(8)
        flipped.append(Row(row.user_id, row.variant, row.position, bytes(blob)))
    held = store.read_control()
    assert held is not None
    leased = held.begun(held.attempts + 1)
    store.swap_control(held, leased)
    store.write(flipped, leased.attempts)
    store.swap_control(leased, leased.given_up())


def test_a_damaged_row_gives_the_list_before_it_until_the_next(driver: Driver, store, chosen, world, table, tmp_path):
    driver.publish(0)
    driver.publish(1)
    old, changed = world.lists(0), world.changed(0, 1).keys() & world.changed(1, 2).keys()
    victims = sorted(old.keys() & changed)[: world.users // 20]
    newest = [Row(user, 0, driver.places[user], store.ring(user)[driver.places[user]]) for user in victims]
    damage(store, newest, random.Random(1))
    control = store.read_control()
    for user in victims:
        seen: list[CorruptRecord] = []
        found = choose(store.ring(user), control, seen.append)
        assert found is not None
        assert (found.body.item_no.tolist(), len(seen)) == (old[user], 1)
    with Watch(patient(chosen), world, tmp_path, older=True) as watch:
        watch.wait_for_older()
        driver.publish(2)
        driver.check(2)
        watch.wait_for()
    assert watch.found.corrupt > 0
    table.add("damaged row", chosen.store.kind, watch.found, times=len(victims))


def test_no_clock_decides_what_is_live(driver: Driver, store, chosen, world, table, tmp_path, monkeypatch):
    driver.publish(0)
    real = time.time
    with Watch(patient(chosen), world, tmp_path) as watch:
        watch.wait_for()
        for hour, skew in enumerate((DAY, -DAY, 0), start=1):
            monkeypatch.setattr(time, "time", lambda skew=skew: real() + skew)
            driver.now = lambda skew=skew: NOW + timedelta(seconds=skew)  # type: ignore[misc]
            driver.publish(hour)
            made = store.read_control().generation()
            assert made.made_at == (NOW + timedelta(seconds=skew)).isoformat()
            driver.check(hour)
            watch.wait_for()
    table.add("clock off by a day", chosen.store.kind, watch.found, times=2)
