"""A world small enough to work out by hand: four items, three users, all in the first days of 2026."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from conf.hours import Hour
from conf.loading import load
from conf.settings import Settings
from jobs.attempt import Result
from jobs.lake import Lake
from jobs.tables import EVENTS, ITEMS, USERS, Table
from stores.opening import open_store
from tests.conftest import SMALL_SPARK
from tests.jobs.publishing import FIRST, HISTORY, Publisher, open_gate

HOUR = Hour.parse("2026-01-10T05")
"""The hour under test; it ends at 06:00."""


def at(text: str) -> datetime:
    """`01-09 20:00` in 2026, UTC."""
    return datetime.strptime(f"2026-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def _rows(lake: Lake, table: Table, rows: Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
    full = [tuple({**defaults, **row}.get(column) for column in table.columns) for row in rows]
    lake.append(table, lake.spark.createDataFrame(full, table.schema))


def put_items(lake: Lake, *rows: dict[str, Any]) -> None:
    defaults = {"genres": [], "cast": [], "maturity": 0, "regions": ["*"], "status": "active", "duration_min": 100}
    _rows(lake, ITEMS, [{"item_no": number, **row} for number, row in enumerate(rows)], defaults)


def put_users(lake: Lake, *rows: dict[str, Any]) -> None:
    _rows(lake, USERS, rows, {"maturity_limit": 0})


def put_events(lake: Lake, *rows: dict[str, Any]) -> None:
    """Events that arrived when they happened, unless they say otherwise."""
    full = []
    for number, row in enumerate(rows):
        arrival = row.get("ingested_at", row["timestamp"])
        full.append(
            {
                "event_id": f"e{number}",
                "event_type": "watch",
                "completed": True,
                "ingested_at": arrival,
                "date": arrival.date(),
                "hour": arrival.hour,
                **row,
            }
        )
    _rows(lake, EVENTS, full, {})


@pytest.fixture(scope="session")
def first_days(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake's folder: ann watched two sci-fi films and left one early; bob watched one; cat did nothing."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("first-days")))
    put_items(
        lake,
        {"item_id": "alien", "title": "Alien", "genres": ["Sci-Fi", "Horror"]},
        {"item_id": "brazil", "title": "Brazil", "genres": ["Sci-Fi"]},
        {"item_id": "clue", "title": "Clue", "genres": ["Comedy"], "release_date": at("01-05 00:00").date()},
        {"item_id": "dune", "title": "Dune", "genres": ["Sci-Fi"]},
    )
    put_users(lake, {"user_id": "ann", "region": "US", "age_band": "25-34"}, {"user_id": "bob"}, {"user_id": "cat"})
    put_events(
        lake,
        {"user_id": "ann", "item_id": "alien", "timestamp": at("01-09 20:00")},
        {
            "user_id": "ann",
            "item_id": "brazil",
            "timestamp": at("01-09 20:20"),
            "completed": False,
            "watch_duration_sec": 600,
        },
        {
            "user_id": "ann",
            "item_id": "dune",
            "timestamp": at("01-10 05:30"),
            "completed": None,
            "watch_duration_sec": 3001,
        },
        {"user_id": "bob", "item_id": "alien", "timestamp": at("01-03 08:00")},
        {
            "user_id": "bob",
            "item_id": "clue",
            "timestamp": at("01-03 09:00"),
            "event_type": "not_interested",
            "completed": None,
        },
        # Known only after the hour: one happened later, one arrived later.
        {"user_id": "bob", "item_id": "dune", "timestamp": at("01-10 06:00")},
        {"user_id": "bob", "item_id": "brazil", "timestamp": at("01-10 05:00"), "ingested_at": at("01-10 06:30")},
    )
    return Path(lake.root)


@pytest.fixture
def world(first_days: Path, lake: Lake) -> Lake:
    """A copy of `first_days`."""
    shutil.copytree(first_days, lake.root)
    return lake


@pytest.fixture
def rows_of(lake: Lake) -> Callable[[Table, str], dict[Any, Any]]:
    """A table's rows by the value of one column."""
    return lambda table, key: {row[key]: row for row in lake.read(table).collect()}


def days(count: int) -> timedelta:
    return timedelta(days=count)


def _settings_at(home: Path) -> Settings:
    return open_gate(load({"TOPSHELF_HOME": str(home)}, SMALL_SPARK).settings)


@pytest.fixture(scope="session")
def history(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Result], Path]:
    """What each publication of HISTORY gave, and a folder with a copy of the home as it was after it: 1, 2 and 3."""
    folder = tmp_path_factory.mktemp("history")
    settings = _settings_at(folder / "home")
    results = []
    with open_store(settings) as store:
        publisher = Publisher(Lake(spark, settings.lake_root), settings, store)
        for number, lists in enumerate(HISTORY):
            results.append(publisher(FIRST + number, lists))
            shutil.copytree(folder / "home", folder / str(number + 1))
    return results, folder


@pytest.fixture
def after(
    history: tuple[list[Result], Path], spark: SparkSession, tmp_path: Path
) -> Iterator[Callable[[int], Publisher]]:
    """A publisher that goes on from so many publications of HISTORY."""
    with ExitStack() as opened:

        def go_on(publications: int) -> Publisher:
            shutil.copytree(history[1] / str(publications), tmp_path / "home")
            settings = _settings_at(tmp_path / "home")
            store = opened.enter_context(open_store(settings))
            return Publisher(Lake(spark, settings.lake_root), settings, store)

        yield go_on
