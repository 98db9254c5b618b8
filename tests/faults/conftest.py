"""Faults on every store: settings, a store, its publisher, and the table of what was done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conf.settings import Settings
from stores.base import Store
from stores.opening import open_store
from tests.faults.driver import Driver
from tests.faults.table import Table
from tests.faults.world import World
from tests.services.stores import STORES, settings_for

_TABLE = pytest.StashKey[Table]()


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Table:
    made = request.config.stash.setdefault(_TABLE, Table())
    made.start()
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.option.markexpr == "soak":
        terminalreporter.section("faults of publication")
        made = config.stash.get(_TABLE, Table())
        for line in (*made.notes, *made.lines()):
            terminalreporter.line(line)


LONG = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture(params=[pytest.param(60, id="small"), pytest.param(2000, id="soak", marks=LONG)])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.fixture(params=STORES)
def chosen(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings of an empty store."""
    return settings_for(request, settings)


@pytest.fixture
def store(chosen: Settings) -> Iterator[Store]:
    with open_store(chosen) as store:
        yield store


@pytest.fixture
def driver(store: Store, world: World) -> Driver:
    return Driver(store, world)
