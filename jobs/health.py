"""Whether what an hour reads looks as it should. Nothing here stops a publication: lists of odd data are checked by
the gate, and an hour that is not published because the data looked odd would be the worse fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from conf.hours import Hour
from conf.operations_settings import Health
from jobs import states
from jobs.events import WATCH
from jobs.gate import Check
from jobs.lake import Lake
from jobs.tables import EVENTS, TABLES, USER_FEATURES
from models.drift import psi

EVENT_CHECKS = {
    "volume": "Events of the hour beside those of the same hour a week before",
    "duplicate_ids": "Events whose event_id is there twice",
    "without_length": "Watches that tell neither how long nor whether to the end",
    "clock_skew": "Events that happened after they arrived, or long before",
    "null_rates": "How far the share of events without a value has moved in a week, of the value where it moved most",
    "schema": "Whether the tables have the columns and types of docs/tables.md",
}
DRIFT_CHECK = "drift"
DRIFT = "How far the users' features have moved in a day (population stability index)"
WEEK = timedelta(days=7)
LATE_HOURS = 6
BINS = 10
MAY_LACK = ("watch_duration_sec", "completed", "rating", "context.device", "context.page", "context.recommendation_id")
"""What an event may be without."""


def of_events(lake: Lake, hour: Hour, limits: Health) -> tuple[Check, ...]:
    """EVENT_CHECKS of the events that arrived in `hour`."""
    found, before = _counted(lake, hour), _counted(lake, Hour(hour.start - WEEK))
    events, watches = found["events"], found["watches"]
    comparable = before["events"] >= limits.least_events
    change = abs(events - before["events"]) / before["events"] if comparable else 0.0
    doubled, bare, skewed = events - found["ids"], found["bare"], found["skewed"]
    return (
        _at_most(
            "volume",
            change,
            limits.max_volume_change,
            f"{events:,} events, {before['events']:,} in the same hour a week before",
        ),
        _at_most("duplicate_ids", doubled, 0, f"{doubled:,} of {events:,} events have the id of another"),
        _at_most("without_length", bare / max(watches, 1), limits.max_bare, f"{bare:,} of {watches:,} watches"),
        _at_most(
            "clock_skew",
            skewed / max(events, 1),
            limits.max_skewed,
            f"{skewed:,} of {events:,} events lie after their arrival or more than {LATE_HOURS} hours before",
        ),
        _null_rates(found, before, comparable and events >= limits.least_events, limits.max_null_change),
        of_schema(lake),
    )


def _counted(lake: Lake, hour: Hour) -> dict[str, int]:
    """What of_events wants to know of an hour's events, in one pass."""
    late = F.col("timestamp") < F.col("ingested_at") - F.expr(f"INTERVAL {LATE_HOURS} HOURS")
    watched = F.col("event_type") == WATCH
    bare = F.col("watch_duration_sec").isNull() & F.col("completed").isNull()
    row = (
        lake.read(EVENTS)
        .where(_of(hour))
        .agg(
            F.count("*").alias("events"),
            F.count_distinct("event_id").alias("ids"),
            F.count_if(watched).alias("watches"),
            F.count_if(watched & bare).alias("bare"),
            F.count_if((F.col("timestamp") > F.col("ingested_at")) | late).alias("skewed"),
            *(F.count_if(F.col(name).isNull()).alias(name) for name in MAY_LACK),
        )
        .first()
    )
    assert row is not None  # an aggregate without groups has one row
    return {name: int(value) for name, value in row.asDict().items()}


def _null_rates(found: dict[str, int], before: dict[str, int], comparable: bool, limit: float) -> Check:
    if not comparable:
        return Check("null_rates", True, 0.0, limit, "too few events now or a week before to compare")
    shares = {name: (before[name] / before["events"], found[name] / found["events"]) for name in MAY_LACK}
    worst = max(shares, key=lambda name: abs(shares[name][1] - shares[name][0]))
    then, now = shares[worst]
    return _at_most(
        "null_rates", abs(now - then), limit, f"{now:.1%} of the events lack {worst}, {then:.1%} a week before"
    )


def of_schema(lake: Lake) -> Check:
    """Whether each table that is there has the columns and types of jobs.tables, whoever wrote to it last."""
    odd = [
        f"{table.name}.{name} is {now or 'missing'} and not {then or 'there'}"
        for table in TABLES
        if lake.exists(table)
        for name, now, then in _differing(lake.schema(table), table.schema)
    ]
    return _at_most("schema", len(odd), 0, "; ".join(odd) or "all tables have the columns and types they should have")


def _differing(now: StructType, then: StructType) -> Iterator[tuple[str, str, str]]:
    """Name of each column whose type differs, with both types; empty: it is not there."""
    types = [{field.name: field.dataType.simpleString() for field in schema} for schema in (now, then)]
    for name in sorted(types[0].keys() | types[1].keys()):
        pair = types[0].get(name, ""), types[1].get(name, "")
        if pair[0] != pair[1]:
            yield name, *pair


def of_features(lake: Lake, hour: Hour, before: int | None, limits: Health) -> Check:
    """DRIFT_CHECK of the hour's user_features beside Delta version `before`; None: there is none to compare with."""
    if before is None or not lake.readable(USER_FEATURES, before):
        return Check(DRIFT_CHECK, True, 0.0, limits.max_psi, "there is no table of a day before")
    now, then = states.read(lake, USER_FEATURES, hour), lake.read(USER_FEATURES, before)
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
