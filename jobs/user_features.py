"""user_features: what is known of each user as of an hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import MapType

from conf.hours import Hour
from conf.settings import Settings
from jobs import feature_changes, manifests, newcomers, states
from jobs.events import RATE, REFUSAL, WATCH, daypart, events_before, is_positive, weekday, window_start, with_items
from jobs.feature_changes import Changes
from jobs.lake import Lake, settled
from jobs.tables import DAYPARTS, PROFILE, USER_FEATURES, USERS


@dataclass(frozen=True)
class Result:
    users: int
    with_watches: int
    again: int
    """Users whose row was worked out from their events."""


def run(lake: Lake, hour: Hour, settings: Settings) -> Result:
    """Bring the table up to the end of `hour`: work out the features of users of whom something is newer than it tells,
    or, where that is not to be known or users are few, everybody's. Where it tells of a later hour, that stays its
    newest version.
    """
    lake.need(USERS, "`topshelf import DIR`")
    newcomers.introduce(lake, hour)
    few = lake.read(USERS).count() < settings.features.all_below_users
    now = feature_changes.worked(lake, settings)
    changes = None if few else feature_changes.find(lake, hour, settings, now)
    if changes is None:
        rows = features(_events(lake, hour, settings), lake.read(USERS), settings)
        states.overwrite(
            lake, USER_FEATURES, dated(rows, states.until(lake, USER_FEATURES, hour), hour, settings), hour
        )
        again = None
    else:
        again = _merge(lake, hour, settings, changes)
    # Only now, for without it the next hour works everybody's out.
    manifests.save(settings, hour, now)
    counts = (
        states.read(lake, USER_FEATURES, hour)
        .agg(F.count("*").alias("users"), F.count_if(F.col("watches") > 0).alias("with_watches"))
        .first()
    )
    assert counts is not None
    return Result(counts["users"], counts["with_watches"], counts["users"] if again is None else again)


def _events(lake: Lake, hour: Hour, settings: Settings) -> DataFrame:
    return with_items(lake, events_before(lake, hour.end)).withColumn("liked", is_positive(settings))


def _merge(lake: Lake, hour: Hour, settings: Settings, changes: Changes) -> int:
    """Write the rows that have changed; of how many users they were worked out."""
    before, users = lake.read(USER_FEATURES), lake.read(USERS)
    again = changes.again.persist()
    # Read once, though features are made of it in parts.
    own = _events(lake, hour, settings).join(again, on="user_id", how="left_semi").persist()
    fresh = features(own, users.join(again, on="user_id", how="left_semi"), settings)
    profile = [field.name for field in PROFILE]
    same = before.join(changes.profiles, on="user_id", how="left_semi").drop(*profile)
    moved = same.join(users.select("user_id", *profile), on="user_id").select(*fresh.columns)
    old = before.join(again.unionByName(changes.profiles), on="user_id", how="left_semi")
    try:
        rows = settled(dated(fresh.unionByName(moved), old, hour, settings).where(F.col("as_of") == F.lit(hour.end)))
        count = again.count()
    finally:
        for kept in (own, again):
            kept.unpersist()
    states.merge(lake, USER_FEATURES, rows, changes.gone, hour)
    return count


def features(events: DataFrame, users: DataFrame, settings: Settings) -> DataFrame:
    """Features of `users` from `events` (with item_no, genres, liked), without dates."""
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
    )


def dated(rows: DataFrame, before: DataFrame, hour: Hour, settings: Settings) -> DataFrame:
    """`rows` with inputs_at and as_of: as in the rows `before`, of this hour or an earlier one, where what lists are
    made of, and where everything, is the same, or else the end of this hour.

    Who comes back after the time in which users count as active has new ones, for lists were made without them.
    """
    start = window_start(hour.end, settings.features.activity_window_days)
    stayed = F.lit(True)
    if start is not None:
        active, was = (F.coalesce(F.col(seen) >= F.lit(start), F.lit(False)) for seen in ("last_active", "seen_then"))
        stayed = was | ~active
    hashes = {"inputs_at": _inputs(), "as_of": _everything(rows.columns)}
    names = [(name, f"{name}_hash", f"{name}_then") for name in hashes]
    known = before.select(
        "user_id",
        F.col("last_active").alias("seen_then"),
        *(hashes[name].alias(hashed) for name, hashed, _ in names),
        *(F.col(name).alias(then) for name, _, then in names),
    )
    joined = rows.join(known, on="user_id", how="left")
    dates = {
        name: F.when(stayed & F.col(hashed).isNotNull() & (F.col(hashed) == hashes[name]), F.col(then)).otherwise(
            F.lit(hour.end)
        )
        for name, hashed, then in names
    }
    return joined.withColumns(dates).drop("seen_then", *(column for _, *more in names for column in more))


def _inputs() -> Column:
    """A hash of what scoring reads of a user."""
    liked = F.transform(F.filter("recent_watches", lambda w: w["liked"]), lambda w: w["item_no"])
    genres = F.map_entries("favorite_genres")
    # Left out of a hash, an unknown value would be the same as one that is another field's.
    profile = [F.coalesce(F.col(field.name).cast("string"), F.lit("?")) for field in PROFILE]
    return F.xxhash64(liked, "watched", genres, "watches", *profile)


def _everything(columns: Sequence[str]) -> Column:
    """A hash of a row, whose columns are `columns`."""
    kinds = {field.name: field.dataType for field in USER_FEATURES.schema}
    plain = [F.map_entries(name) if isinstance(kinds[name], MapType) else F.col(name) for name in columns]
    return F.xxhash64(*(part for each in plain for part in (each, each.isNull())))


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
