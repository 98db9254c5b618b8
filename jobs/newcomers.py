"""Users who are known from their events alone: they become rows of `users`, without a profile."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf.hours import Hour
from jobs import states
from jobs.events import events_before, newer_than
from jobs.lake import Lake, settled
from jobs.tables import EVENTS, USER_FEATURES, USERS

STRICTEST_LIMIT = 0


def introduce(lake: Lake, hour: Hour) -> None:
    """Give a row to each user of events that came up to the end of `hour`, since the hour before, who has none."""
    if not lake.exists(EVENTS):
        return
    events, since = events_before(lake, hour.end), states.hour_of(lake, USER_FEATURES)
    if since is not None:
        events = events.where(newer_than(min(since.end, hour.start)))
    # Settled, for a merge reads its source twice.
    found = settled(unknown(events, lake.read(USERS)))
    if not found.isEmpty():
        lake.insert(USERS, found)


def unknown(events: DataFrame, known: DataFrame) -> DataFrame:
    """A row of USERS, of whom nothing but the id is known, for each user of some events who is not among the known."""
    blank = {field.name: F.lit(None).cast(field.dataType) for field in USERS.schema.fields}
    blank |= {"user_id": F.col("user_id"), "maturity_limit": F.lit(STRICTEST_LIMIT)}
    strangers = events.select("user_id").distinct().join(known.select("user_id"), "user_id", how="left_anti")
    return strangers.select(*[column.alias(name) for name, column in blank.items()])
