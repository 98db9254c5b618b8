"""popularity: ranked items for everybody, by genre, by segment, trending and new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from conf.hours import Hour
from conf.settings import Settings
from jobs import states
from jobs.events import events_before, is_positive, with_items
from jobs.item_features import decayed
from jobs.lake import Lake
from jobs.tables import ITEM_FEATURES, ITEMS, POPULARITY, USERS


@dataclass(frozen=True)
class Result:
    scopes: int
    segments: int
    global_scores: tuple[float, ...]
    """Popularity of the listed items, best first."""


def run(lake: Lake, hour: Hour, settings: Settings) -> Result:
    """Rank items for every scope as of the end of `hour` and replace the hour's partition."""
    # Kept, for five of the rankings read them, and a row an item is little.
    stats = (
        states.read(lake, ITEM_FEATURES, hour)
        .join(
            lake.read(ITEMS).where(F.col("status") == "active").select("item_no", "genres", "release_date"),
            on="item_no",
            how="inner",
        )
        .persist()
    )
    events = with_items(lake, events_before(lake, hour.end)).withColumn("liked", is_positive(settings))
    wanted = settings.features
    scored = [
        _everybody(stats),
        _genres(stats),
        _trending(stats),
        _new(stats, wanted.new_release_days),
        _segments(
            events, lake.read(USERS), decayed(hour.end, wanted.popularity_half_life_days), wanted.segment_min_users
        ).join(stats.select("item_no"), on="item_no", how="left_semi"),
    ]
    ranked = rank(reduce(DataFrame.unionByName, scored), settings.retrieval.fallback_list)
    where: dict[str, str | int | date] = {"date": hour.date, "hour": hour.start.hour}
    try:
        lake.replace(POPULARITY, ranked.withColumns({name: F.lit(value) for name, value in where.items()}), where)
    finally:
        stats.unpersist()
    written = lake.read(POPULARITY).where((F.col("date") == hour.date) & (F.col("hour") == hour.start.hour))
    by_scope = {row["scope"]: row["items"] for row in written.collect()}
    segments = sum(scope.startswith("segment:") for scope in by_scope)
    return Result(len(by_scope), segments, tuple(item["score"] for item in by_scope.get("global", ())))


def rank(scored: DataFrame, keep: int) -> DataFrame:
    """(scope, item_no, score) to one row a scope, the best `keep` items first, ties by item_no."""
    order = Window.partitionBy("scope").orderBy(F.desc("score"), "item_no")
    best = scored.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= keep)
    in_order = F.array_sort(F.collect_list(F.struct("rank", "item_no", "score")))
    return best.groupBy("scope").agg(
        F.transform(in_order, lambda row: F.struct(row["item_no"].alias("item_no"), row["score"].alias("score"))).alias(
            "items"
        )
    )


def _scores(rows: DataFrame, scope: Column, score: Column) -> DataFrame:
    return rows.select(scope.alias("scope"), "item_no", score.cast("double").alias("score"))


def _everybody(stats: DataFrame) -> DataFrame:
    return _scores(stats, F.lit("global"), F.col("popularity"))


def _genres(stats: DataFrame) -> DataFrame:
    by_genre = stats.where(F.col("popularity") > 0).withColumn("genre", F.explode("genres"))
    return _scores(by_genre, F.concat(F.lit("genre:"), "genre"), F.col("popularity"))


def _trending(stats: DataFrame) -> DataFrame:
    return _scores(stats.where(F.col("trend") > 0), F.lit("trending"), F.col("trend"))


def _new(stats: DataFrame, days: int) -> DataFrame:
    """Releases of the last `days`, the most watched first; among equals the youngest."""
    released = F.col("release_date").isNotNull() & (F.col("age_hours") >= 0) & (F.col("age_hours") < days * 24)
    youth = 1 - F.col("age_hours") / (days * 24)
    return _scores(stats.where(released), F.lit("new"), F.col("popularity") + youth)


def _segments(events: DataFrame, users: DataFrame, weight: Column, min_users: int) -> DataFrame:
    """Decayed positives among users of one age band and region, where they are enough to be telling."""
    known = users.where(F.col("age_band").isNotNull() & F.col("region").isNotNull())
    named = known.select("user_id", F.concat_ws("/", "age_band", "region").alias("segment"))
    large = named.groupBy("segment").count().where(F.col("count") >= min_users).select("segment")
    members = named.join(F.broadcast(large), on="segment", how="inner")
    by_item = (
        events.where(F.col("liked"))
        .join(members, on="user_id", how="inner")
        .groupBy("segment", "item_no")
        .agg(weight.alias("weight"))
    )
    return _scores(by_item, F.concat(F.lit("segment:"), "segment"), F.col("weight"))
