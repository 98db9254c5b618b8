"""user_features: what is known of each user as of an hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from conf.hours import Hour
from conf.settings import Settings
from jobs.events import RATE, REFUSAL, WATCH, daypart, events_before, is_positive, weekday, with_items
from jobs.lake import Lake
from jobs.tables import DAYPARTS, PROFILE, USER_FEATURES, USERS


@dataclass(frozen=True)
class Result:
    users: int
    with_watches: int


def run(lake: Lake, hour: Hour, settings: Settings) -> Result:
    """Work out every user's features as of the end of `hour` and replace the table, if it tells of no later hour."""
    events = with_items(lake, events_before(lake, hour.end))
    events = events.withColumn("liked", is_positive(settings))
    users = lake.need(USERS, "`topshelf import DIR`")
    rows = features(events, users, settings, hour.end)
    lake.overwrite_state(USER_FEATURES, rows, hour)
    counts = (
        lake.state(USER_FEATURES, hour)
        .agg(F.count("*").alias("users"), F.count_if(F.col("watches") > 0).alias("with_watches"))
        .first()
    )
    assert counts is not None
    return Result(counts["users"], counts["with_watches"])


def features(events: DataFrame, users: DataFrame, settings: Settings, as_of: datetime) -> DataFrame:
    """Features of `users` from `events` (with item_no, genres, liked)."""
    watches = events.where(F.col("event_type") == WATCH)
    parts = [
        _watched(events, settings.features.recent_watches),
        _genres(watches, settings.features.genre_step),
        _habits(watches),
        _sessions(events, settings.features.session_gap_minutes),
    ]
    joined = reduce(lambda left, right: left.join(right, on="user_id", how="left"), parts, users)
    empty_ints = F.array().cast("array<int>")
    empty_map = F.create_map().cast("map<string,double>")
    return joined.select(
        "user_id",
        F.coalesce("recent_watches", F.array().cast(USER_FEATURES.schema["recent_watches"].dataType)).alias(
            "recent_watches"
        ),
        F.coalesce("watched", empty_ints).alias("watched"),
        F.coalesce("favorite_genres", empty_map).alias("favorite_genres"),
        F.coalesce("watch_time_preference", empty_map).alias("watch_time_preference"),
        F.coalesce("avg_session_length_min", F.lit(0.0)).alias("avg_session_length_min"),
        F.coalesce("watches", F.lit(0)).alias("watches"),
        "last_active",
        *[field.name for field in PROFILE],
        F.lit(as_of).alias("as_of"),
    )


def _watched(events: DataFrame, keep: int) -> DataFrame:
    """Each item once: its newest watch, and whether any of its watches was a positive."""
    done = events.where(F.col("event_type").isin(WATCH, RATE, REFUSAL))
    watch_time = F.when(F.col("event_type") == WATCH, F.col("timestamp"))
    by_item = done.groupBy("user_id", "item_no").agg(
        F.max(watch_time).alias("timestamp"), F.max("liked").alias("liked")
    )
    # Descending by (timestamp, item_no): structs compare field by field.
    watch = F.when(F.col("timestamp").isNotNull(), F.struct("timestamp", "item_no", "liked"))
    newest_first = F.slice(F.sort_array(F.collect_list(watch), asc=False), 1, keep)
    return by_item.groupBy("user_id").agg(
        F.transform(
            newest_first,
            lambda w: F.struct(
                w["item_no"].alias("item_no"), w["timestamp"].alias("timestamp"), w["liked"].alias("liked")
            ),
        ).alias("recent_watches"),
        F.array_sort(F.collect_list("item_no")).alias("watched"),
        F.count("timestamp").cast("int").alias("watches"),
    )


def _genres(watches: DataFrame, step: float) -> DataFrame:
    counts = (
        watches.select("user_id", F.explode("genres").alias("genre"))
        .groupBy("user_id", "genre")
        .agg((F.count("*") * step).alias("weight"))
    )
    pair = F.struct("genre", "weight")
    return counts.groupBy("user_id").agg(
        F.map_from_entries(F.array_sort(F.collect_list(pair))).alias("favorite_genres")
    )


def _habits(watches: DataFrame) -> DataFrame:
    """Share of watches in each daypart and at weekends."""
    shares = [F.avg((daypart() == number).cast("double")) for number in range(len(DAYPARTS))]
    names = [*DAYPARTS, "weekend"]
    shares.append(F.avg((weekday() >= 5).cast("double")))
    pairs = [part for name, share in zip(names, shares, strict=True) for part in (F.lit(name), share)]
    return watches.groupBy("user_id").agg(F.create_map(*pairs).alias("watch_time_preference"))


def _sessions(events: DataFrame, gap_minutes: int) -> DataFrame:
    """Mean minutes of a session; a pause of `gap_minutes` begins another."""
    by_time = Window.partitionBy("user_id").orderBy("seconds")
    moments = events.select("user_id", F.unix_timestamp("timestamp").alias("seconds"), "timestamp")
    pause = F.col("seconds") - F.lag("seconds").over(by_time)
    # Within a session the pauses add up to its length, so that no second pass over sessions is needed.
    inside = F.when(pause < gap_minutes * 60, pause)
    starts = F.when(pause.isNull() | (pause >= gap_minutes * 60), 1)
    marked = moments.select("user_id", "timestamp", inside.alias("inside"), starts.alias("starts"))
    return marked.groupBy("user_id").agg(
        (F.coalesce(F.sum("inside"), F.lit(0)) / F.count("starts") / 60).alias("avg_session_length_min"),
        F.max("timestamp").alias("last_active"),
    )
