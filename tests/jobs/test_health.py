"""What is told of odd data."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import functions as F

from jobs import health, user_features
from jobs.tables import ITEMS, USER_FEATURES
from tests.jobs.conftest import HOUR, at, put_events


def test_doubled_events_bare_watches_and_clocks_that_are_wrong_are_told(world, settings):
    then = {"user_id": "bob", "item_id": "dune", "timestamp": at("01-03 05:10")}
    week_before = [{**then, "event_id": f"w{number}"} for number in range(10)]
    now = [
        {"event_id": "once", "user_id": "ann", "item_id": "clue", "timestamp": at("01-10 05:10")},
        {"event_id": "twice", "user_id": "ann", "item_id": "clue", "timestamp": at("01-10 05:11"), "completed": None},
        {"event_id": "twice", "user_id": "ann", "item_id": "clue", "timestamp": at("01-10 05:12"),
         "ingested_at": at("01-10 05:11")},
    ]  # fmt: skip
    put_events(world, *week_before, *now)
    limits = settings.health.model_copy(update={"least_events": 5})
    found = {check.name: check for check in health.of_events(world, HOUR, limits)}
    assert {name: check.passed for name, check in found.items()} == {
        "volume": True, "duplicate_ids": False, "without_length": False, "clock_skew": False,
        "null_rates": True, "schema": True,
    }  # fmt: skip
    assert found["volume"].text == "4 events, 10 in the same hour a week before"
    assert found["duplicate_ids"].text == "1 of 4 events have the id of another"
    strict = limits.model_copy(update={"max_volume_change": 0.5, "least_events": 4, "max_null_change": 0.1})
    found = {check.name: check for check in health.of_events(world, HOUR, strict)}
    assert not found["volume"].passed
    assert found["null_rates"].text == "50.0% of the events lack completed, 0.0% a week before"
    assert not found["null_rates"].passed


def test_a_table_that_others_changed_is_told(world):
    assert health.of_schema(world).passed
    path = world.path(ITEMS)
    world.read(ITEMS).withColumn("title", F.lit(1)).withColumn("shelf", F.lit("a")).write.format("delta").mode(
        "overwrite"
    ).option("overwriteSchema", "true").save(path)
    found = health.of_schema(world)
    assert not found.passed
    assert found.text == "items.shelf is string and not there; items.title is int and not string"


def test_features_that_moved_are_told(world, settings):
    user_features.run(world, HOUR, settings)
    first = world.version(USER_FEATURES)
    limits = settings.health
    assert health.of_features(world, HOUR, None, limits).passed
    assert health.of_features(world, HOUR, first, limits).value == 0
    assert world.version(USER_FEATURES) == first
    later = [{"user_id": "cat", "item_id": item, "timestamp": HOUR.start + timedelta(minutes=minute)}
             for minute, item in enumerate(("alien", "dune", "clue"))]  # fmt: skip
    put_events(world, *[{**row, "event_id": f"later{number}"} for number, row in enumerate(later)])
    user_features.run(world, HOUR, settings)
    moved = health.of_features(world, HOUR, first, limits)
    assert moved.value > 0
    assert "watches" in moved.text
