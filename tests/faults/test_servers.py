"""Servers that die, are busy, or are slow while lists are loaded into them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cli.services.programs import CASSANDRA, DYNAMODB
from conf.errors import RetryableError
from conf.settings import Settings
from stores.base import Row
from stores.opening import open_store
from tests.faults.driver import Driver
from tests.faults.meddling import through
from tests.faults.table import Table
from tests.faults.watching import Watch, patient
from tests.services.servers import PrivateServer
from tests.services.stores import settings_for
from tests.services.throttling import ThrottlingProxy

SLOW_SECONDS = 1.0
SLOW_SHARE = 0.02


def at(settings: Settings, kind: str, port: int) -> Settings:
    store = settings.store.model_copy(update={"kind": kind})
    endpoint = settings.dynamodb.model_copy(update={"endpoint": f"http://127.0.0.1:{port}"})
    scylla = settings.scylla.model_copy(update={"port": port, "consistency": "ONE"})
    return settings.model_copy(update={"store": store, "dynamodb": endpoint, "scylla": scylla})


def restarted_after(server: PrivateServer, count: int, restarts: list[threading.Thread]) -> Callable[..., Iterator]:
    """Kills the server when so many rows have been given to the writer; it comes back meanwhile."""

    def on_the_way(rows: Iterator[Row]) -> Iterator[Row]:
        for number, row in enumerate(rows):
            if number == count:
                server.kill()
                restarts.append(threading.Thread(target=server.start))
                restarts[-1].start()
            yield row

    return on_the_way


@pytest.mark.parametrize(
    ("kind", "program"),
    [
        ("dynamodb", DYNAMODB),
        # Cassandra takes half a minute to start twice.
        pytest.param("scylla", CASSANDRA, marks=pytest.mark.soak),
    ],
)
def test_a_server_killed_in_mid_load_costs_a_wait_or_a_second_run(kind, program, settings, world, table, tmp_path):
    rounds = 1 if world.users < 1000 else 5
    with PrivateServer(program, tmp_path / "server") as server:
        chosen = at(settings, kind, server.port)
        with open_store(chosen) as store:
            store.create()
            driver = Driver(store, world)
            driver.publish(0)
            draw = random.Random(world.users)
            with Watch(patient(chosen), world, tmp_path) as watch:
                watch.wait_for()
                for hour in range(1, rounds + 1):
                    restarts: list[threading.Thread] = []
                    place = draw.randrange(len(world.changed(hour - 1, hour)))
                    try:
                        driver.publish(hour, restarted_after(server, place, restarts))
                    except RetryableError:
                        restarts[0].join()
                        driver.publish(hour)
                    restarts[0].join()
                    driver.check(hour)
                    watch.wait_for()
            table.add("server killed", kind, watch.found, driver.recovered, rounds)


def test_a_busy_table_is_written_to_the_row(request, settings, world, table: Table, tmp_path):
    chosen = settings_for(request, settings, "dynamodb")
    wanted = len(world.changed(0, 1))
    with (
        open_store(chosen) as direct,
        ThrottlingProxy(chosen.dynamodb.endpoint or "", left_out=0.2, seed=1) as busy,
        open_store(at(chosen, "dynamodb", int(busy.endpoint.rpartition(":")[2]))) as store,
    ):
        driver = Driver(direct, world)
        driver.publish(0)
        driver.store, busy.units_per_second = store, wanted / 2
        with Watch(patient(chosen), world, tmp_path) as watch:
            watch.wait_for()
            report = driver.publish(1)
            watch.wait_for()
        assert report.throttled > 0
        assert report.written == busy.rows == wanted
        driver.check(1)
        table.add("throttled", "dynamodb", watch.found)


@pytest.mark.parametrize("kind", ["dynamodb", "scylla"])
def test_a_slow_server_is_waited_for_by_the_load_and_not_by_readers(kind, request, settings, world, table, tmp_path):
    chosen = settings_for(request, settings, kind)
    draw, slow = random.Random(1), threading.Event()

    def meddle(what: str) -> None:
        if slow.is_set() and draw.random() < SLOW_SHARE:
            time.sleep(SLOW_SECONDS if what == "read" else SLOW_SECONDS / 10)

    with through(chosen, meddle) as slowed, open_store(slowed) as store:
        driver = Driver(store, world)
        driver.publish(0)
        with Watch(slowed, world, tmp_path) as watch:  # with the service's own 30 ms
            watch.wait_for()
            slow.set()
            watch.wait_for_timeouts(3)
            report = driver.load(attempt := driver.begin(1))
            slow.clear()
            driver.switch(attempt)
            watch.wait_for()
        assert report.written == len(world.changed(0, 1))
        assert 0 < watch.found.slowest_timeout < SLOW_SECONDS / 2
        driver.check(1)
        table.add("slow server", kind, watch.found)
