"""Whether what an hour reads looks as it should. Nothing here stops a publication: lists of odd data are checked by
the gate, and an hour that is not published because the data looked odd would be the worse fault."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from conf.hours import Hour
from conf.operations_settings import Health
from jobs.events import WATCH
from jobs.gate import Check
from jobs.lake import Lake
from jobs.tables import EVENTS, USER_FEATURES
from models.drift import psi

EVENT_CHECKS = {
    "volume": "Events of the hour beside those of the same hour a week before",
    "duplicate_ids": "Events whose event_id is there twice",
    "without_length": "Watches that tell neither how long nor whether to the end",
    "clock_skew": "Events that happened after they arrived, or long before",
}
DRIFT_CHECK = "drift"
DRIFT = "How far the users' features have moved in a day (population stability index)"
WEEK = timedelta(days=7)
LATE_HOURS = 6
BINS = 10


def of_events(lake: Lake, hour: Hour, limits: Health) -> tuple[Check, ...]:
    """EVENT_CHECKS of the events that arrived in `hour`."""
    rows = lake.read(EVENTS).where(_of(hour))
    late = F.col("timestamp") < F.col("ingested_at") - F.expr(f"INTERVAL {LATE_HOURS} HOURS")
    watched = F.col("event_type") == WATCH
    found = rows.agg(
        F.count("*").alias("events"),
        F.count_distinct("event_id").alias("ids"),
        F.count_if(watched).alias("watches"),
        F.count_if(watched & F.col("watch_duration_sec").isNull() & F.col("completed").isNull()).alias("bare"),
        F.count_if((F.col("timestamp") > F.col("ingested_at")) | late).alias("skewed"),
    ).first()
    assert found is not None  # an aggregate without groups has one row
    before = lake.read(EVENTS).where(_of(Hour(hour.start - WEEK))).count()
    events, watches = found["events"], found["watches"]
    change = abs(events - before) / before if before >= limits.least_events else 0.0
    volume = f"{events:,} events, {before:,} in the same hour a week before"
    doubled = events - found["ids"]
    bare, skewed = found["bare"] / max(watches, 1), found["skewed"] / max(events, 1)
    return (
        _at_most("volume", change, limits.max_volume_change, volume),
        _at_most("duplicate_ids", doubled, 0, f"{doubled:,} of {events:,} events have the id of another"),
        _at_most("without_length", bare, limits.max_bare, f"{found['bare']:,} of {watches:,} watches"),
        _at_most(
            "clock_skew",
            skewed,
            limits.max_skewed,
            f"{found['skewed']:,} of {events:,} events lie after their arrival or more than {LATE_HOURS} hours before",
        ),
    )


def of_features(lake: Lake, hour: Hour, before: int | None, limits: Health) -> Check:
    """DRIFT_CHECK of the hour's user_features beside Delta version `before`; None: there is none to compare with."""
    if before is None or not lake.readable(USER_FEATURES, before):
        return Check(DRIFT_CHECK, True, 0.0, limits.max_psi, "there is no table of a day before")
    now, then = lake.state(USER_FEATURES, hour), lake.read(USER_FEATURES, before)
    found = {name: _psi(then, now, column) for name, column in _features().items()}
    worst = max(found, key=lambda name: found[name])
    text = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    return _at_most(DRIFT_CHECK, found[worst], limits.max_psi, text)


def _features() -> dict[str, Column]:
    return {
        "watches": F.col("watches").cast("double"),
        "recent watches": F.size("recent_watches").cast("double"),
        "session length": F.col("avg_session_length_min"),
        "genres": F.size("favorite_genres").cast("double"),
    }


def _psi(then: DataFrame, now: DataFrame, column: Column) -> float:
    """Between quantiles of `then`."""
    edges = then.select(column.alias("x")).approxQuantile("x", list(np.linspace(0, 1, BINS + 1)[1:-1]), 0.01)
    return psi(_counts(then, column, edges), _counts(now, column, edges)) if edges else 0.0


def _counts(rows: DataFrame, column: Column, edges: Sequence[float]) -> list[int]:
    bounds = sorted(set(edges))
    place = sum(((column > F.lit(bound)).cast("int") for bound in bounds), F.lit(0))
    counts = {
        row["place"]: row["count"] for row in rows.select(place.alias("place")).groupBy("place").count().collect()
    }
    return [counts.get(number, 0) for number in range(len(bounds) + 1)]


def _of(hour: Hour) -> Column:
    return (F.col("date") == F.lit(hour.date)) & (F.col("hour") == hour.start.hour)


def _at_most(name: str, value: float, limit: float, text: str) -> Check:
    return Check(name, value <= limit, float(value), float(limit), text)
