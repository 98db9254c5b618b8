"""item_features: what is known of each item as of an hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from conf.hours import Hour
from conf.settings import Settings
from jobs import states
from jobs.events import RATE, WATCH, events_before, is_positive, since, window_start, with_items
from jobs.lake import Lake
from jobs.tables import ITEM_FEATURES, ITEMS

FIXED_POINT = 2**20
"""Decayed weights are summed as integers of this unit: sums of doubles would depend on Spark's order."""


@dataclass(frozen=True)
class Result:
    items: int
    cold: int


def run(lake: Lake, hour: Hour, settings: Settings) -> Result:
    """Work out every item's features as of the end of `hour` and replace the table, if it tells of no later hour."""
    events = with_items(lake, events_before(lake, hour.end)).withColumn("liked", is_positive(settings))
    states.overwrite(lake, ITEM_FEATURES, features(events, lake.read(ITEMS), settings, hour.end), hour)
    counts = (
        states.read(lake, ITEM_FEATURES, hour)
        .agg(F.count("*").alias("items"), F.count_if("cold").alias("cold"))
        .first()
    )
    assert counts is not None
    return Result(counts["items"], counts["cold"])


def decayed(as_of: datetime, half_life_days: float | None) -> Column:
    """Sum of 0.5^(age / half-life) over the group's positives, exact whatever the order of the rows."""
    if half_life_days is None:
        return F.count_if(F.col("liked")).cast("double")
    age_days = (F.unix_timestamp(F.lit(as_of)) - F.unix_timestamp("timestamp")) / 86400
    weight = F.pow(F.lit(0.5), age_days / half_life_days)
    units = F.when(F.col("liked"), F.round(weight * FIXED_POINT).cast("long"))
    return F.coalesce(F.sum(units), F.lit(0)) / FIXED_POINT


def recent_and_before(as_of: datetime, days: int) -> tuple[Column, Column]:
    """The group's watches of the last days, and of as many days before."""
    recent, before = (window_start(as_of, count) for count in (days, 2 * days))
    watch = F.col("event_type") == WATCH
    return (
        F.count_if(watch & since("timestamp", recent)).alias("recent"),
        F.count_if(watch & since("timestamp", before) & ~since("timestamp", recent)).alias("before"),
    )


def growth() -> Column:
    """The difference of two Poisson counts, recent and before, in units of its standard deviation: beyond chance."""
    return F.try_divide(F.col("recent") - F.col("before"), F.sqrt(F.col("recent") + F.col("before")))


def features(events: DataFrame, items: DataFrame, settings: Settings, as_of: datetime) -> DataFrame:
    """Features of `items` from `events` (with item_no and liked)."""
    wanted = settings.features
    measured = events.groupBy("item_no").agg(
        F.avg(F.when(F.col("event_type") == RATE, F.col("rating").cast("decimal(6,3)")))
        .cast("double")
        .alias("avg_rating"),
        F.count_if(F.col("event_type") == WATCH).alias("watch_count"),
        F.count_if(F.col("liked")).alias("positives"),
        decayed(as_of, wanted.popularity_half_life_days).alias("popularity"),
        *recent_and_before(as_of, wanted.trending_days),
        F.min("timestamp").alias("first_event"),
    )
    born = F.coalesce(F.col("release_date").cast("timestamp"), F.col("first_event"))
    watch_count = F.coalesce("watch_count", F.lit(0))
    return (
        items.select("item_no", "item_id", "release_date")
        .join(measured, on="item_no", how="left")
        .select(
            "item_no",
            "item_id",
            "avg_rating",
            watch_count.alias("watch_count"),
            F.coalesce("positives", F.lit(0)).alias("positives"),
            F.coalesce("popularity", F.lit(0.0)).alias("popularity"),
            F.coalesce(growth(), F.lit(0.0)).alias("trend"),
            ((F.unix_timestamp(F.lit(as_of)) - F.unix_timestamp(born)) / 3600).alias("age_hours"),
            (watch_count < wanted.cold_below_watches).alias("cold"),
            F.lit(as_of).alias("as_of"),
        )
    )
