"""Who is scored in an hour."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame

from conf.errors import DataError
from conf.hours import Hour
from jobs import score, user_features
from jobs.tables import PUBLISHED
from tests.jobs.conftest import HOUR


def live_row(user: str, region: str | None, maturity_limit: int) -> tuple[object, ...]:
    return (user, "champion", [], region, maturity_limit, b"", "hash", 0, 1, "store", HOUR.start)


def test_the_active_are_scored_and_those_whose_limits_are_no_longer_what_is_live(world, settings):
    week = settings.model_copy(update={"features": settings.features.model_copy(update={"activity_window_days": 6})})
    user_features.run(world, HOUR, week)

    def scored(touched: DataFrame | None = None) -> list[str]:
        users = score._active(world, HOUR, week, world.read(PUBLISHED), touched)
        return sorted(row["user_id"] for row in users.collect())

    assert scored() == ["ann"]  # bob was last seen a week ago, cat never
    # An attempt that nobody was switched to had planned a list for bob.
    assert scored(world.spark.createDataFrame([("bob",)], "user_id string")) == ["ann", "bob"]
    rows = [live_row("ann", "US", 0), live_row("bob", None, 0), live_row("cat", None, 4)]
    world.append(PUBLISHED, world.spark.createDataFrame(rows, PUBLISHED.schema))
    assert scored() == ["ann", "cat"]  # cat's limit was lowered from 4 to 0 since

    with pytest.raises(DataError, match="user_features are not those of 2026-01-10T06:00Z"):
        score._active(world, Hour.parse("2026-01-10T06"), week, world.read(PUBLISHED), None)
