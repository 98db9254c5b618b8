"""Features that are brought up to an hour are those that would be worked out anew from all events."""

from __future__ import annotations

import shutil

import pytest
from pyspark.sql import functions as F

from conf.hours import Hour
from jobs import states, user_features
from jobs.lake import Lake
from jobs.tables import ITEMS, USER_FEATURES, USERS
from tests.jobs.conftest import at, put_events, put_items, put_users

HOURS = [Hour.parse(f"2026-01-10T{hour:02}") for hour in range(4, 10)]


@pytest.fixture
def settings(settings):
    """As where users are many."""
    return settings.model_copy(update={"features": settings.features.model_copy(update={"all_below_users": 0})})


@pytest.fixture
def work(world, settings):
    """Brings the features up to an hour; returns for how many users they were worked out."""
    return lambda hour: user_features.run(world, hour, settings).again


def anew(world, settings, tmp_path):
    """The features of the newest hour without dates, as they are and as they come out of all events at once."""
    other = Lake(world.spark, str(tmp_path / "other" / "lake"))
    shutil.copytree(world.root, other.root)
    shutil.rmtree(other.path(USER_FEATURES))
    hour = states.hour_of(world, USER_FEATURES)
    found = user_features.run(other, hour, settings.model_copy(update={"home": tmp_path / "other"}))
    assert found.again == found.users
    return [sorted(map(str, lake.read(USER_FEATURES).drop("inputs_at", "as_of").collect())) for lake in (world, other)]


def dates(lake):
    return {row["user_id"]: (row["inputs_at"].hour, row["as_of"].hour) for row in lake.read(USER_FEATURES).collect()}


def test_what_is_new_is_worked_out_and_nothing_else(world, work, settings, tmp_path):
    # Eve watches what nobody knows yet, and nobody imported her.
    put_users(world, {"user_id": "dee"})
    put_events(world, {"event_id": "early", "user_id": "eve", "item_id": "solaris", "timestamp": at("01-08 08:00")},
               {"event_id": "shown", "user_id": "cat", "item_id": "dune", "event_type": "impression",
                "timestamp": at("01-08 09:00")})  # fmt: skip
    assert work(HOURS[0]) == 5  # the first hour of all
    assert work(HOURS[1]) == 1
    # Ann watched something in the hour until six.
    assert dates(world) == {"ann": (6, 6), "bob": (5, 5), "cat": (5, 5), "dee": (5, 5), "eve": (5, 5)}

    for user in ("cat", "dee"):
        world.delete(USERS, F.col("user_id") == user)
    put_users(world, {"user_id": "cat", "region": "FR"})
    assert work(HOURS[2]) == 1  # bob, who watched something; cat moved, for which nobody reads her events
    assert dates(world) == {"ann": (6, 6), "bob": (7, 7), "cat": (7, 7), "eve": (5, 5)}

    # A film is new, one that bob watched is of another genre, and cat is shown one.
    world.delete(ITEMS, F.col("item_id") == "alien")
    put_items(world, {"item_id": "alien", "genres": ["Horror"]}, {"item_id": "solaris", "item_no": 4})
    put_events(world, {"event_id": "click", "user_id": "cat", "item_id": "dune", "event_type": "impression",
                       "timestamp": at("01-10 07:20")},
               {"event_id": "first", "user_id": "fay", "item_id": "dune", "timestamp": at("01-10 07:30")})  # fmt: skip
    assert work(HOURS[3]) == 5
    # An impression makes no other list; fay is there, though nobody imported her.
    assert dates(world) == {"ann": (8, 8), "bob": (8, 8), "cat": (7, 8), "eve": (8, 8), "fay": (8, 8)}
    known = {row["user_id"]: (row["region"], row["maturity_limit"]) for row in world.read(USERS).collect()}
    assert known == {"ann": ("US", 0), "bob": (None, 0), "cat": ("FR", 0), "eve": (None, 0), "fay": (None, 0)}
    merged, whole = anew(world, settings, tmp_path)
    assert merged == whole


def test_an_import_of_what_happened_before_counts_from_its_import(world, work, settings, tmp_path):
    work(HOURS[1])
    put_events(world, {"event_id": "old", "user_id": "cat", "item_id": "dune", "timestamp": at("01-02 08:00"),
                       "date": at("01-01 00:00").date(), "hour": -1})  # fmt: skip
    assert work(HOURS[2]) == 2
    assert dates(world) == {"ann": (6, 6), "bob": (7, 7), "cat": (7, 7)}
    assert work(HOURS[3]) == 0
    assert work(HOURS[3]) == 3  # the same hour again
    assert work(HOURS[1]) == 3  # and an earlier one, below the newest
    assert dates(world) == {"ann": (6, 6), "bob": (7, 7), "cat": (7, 7)}
    assert states.hour_of(world, USER_FEATURES) == HOURS[3]
    merged, whole = anew(world, settings, tmp_path)
    assert merged == whole
