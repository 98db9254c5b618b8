"""State tables: what an earlier hour makes lies below the newest version, and an erasure ends the history of both."""

from __future__ import annotations

import pytest

from conf.errors import DataError
from conf.hours import Hour
from jobs import erasing, states, user_features
from jobs.tables import USER_FEATURES
from tests.jobs.conftest import HOUR


def watches(rows):
    return {row["user_id"]: row["watches"] for row in rows.collect()}


def test_an_earlier_hour_lies_below_the_newest_until_an_erasure_ends_it(world, settings):
    earlier = Hour(HOUR.start.replace(hour=3))
    user_features.run(world, HOUR, settings)
    newest = watches(world.read(USER_FEATURES))
    user_features.run(world, earlier, settings)
    assert watches(world.read(USER_FEATURES)) == watches(states.read(world, USER_FEATURES, HOUR)) == newest
    then, version = watches(states.read(world, USER_FEATURES, earlier)), states.version(world, USER_FEATURES, earlier)
    assert then["ann"] < newest["ann"]
    erasing.erase(world, USER_FEATURES, ["bob"])
    assert not world.readable(USER_FEATURES, version)
    assert watches(states.read(world, USER_FEATURES, HOUR)) == {user: newest[user] for user in ("ann", "cat")}
    with pytest.raises(DataError, match=r"user_features are not those of 2026-01-10T03:00Z: run that hour's"):
        states.read(world, USER_FEATURES, earlier)
