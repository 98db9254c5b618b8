"""training_examples: what models learn from, each row as things stood before the event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from conf.settings import Settings
from jobs.events import (
    IMPRESSION,
    WATCH,
    daypart,
    events_before,
    is_positive,
    since,
    weekday,
    window_start,
    with_items,
)
from jobs.lake import Lake
from jobs.tables import ITEMS, PROFILE, TRAINING_EXAMPLES, USERS

ANSWER_HOURS = 24
"""A positive watch within this time of an impression is taken as its answer."""
MIN_FOR_HOLDOUT = 5
"""Users with fewer positives are learnt from whole: a fifth of them is nobody's measure."""
PROFILE_COLUMNS = [field.name for field in PROFILE]


@dataclass(frozen=True)
class Result:
    examples: int
    positives: int
    holdout: int


def run(lake: Lake, day: date, cut: datetime, settings: Settings) -> Result:
    """Make the examples of events before `cut` and replace the partition of `day`."""
    moments = _moments(lake, cut, settings)
    rows = examples(moments, _users(lake), lake.read(ITEMS), cut, settings)
    # `day` leads the order so that Spark keeps it when it writes; readers rely on it.
    ordered = rows.withColumn("day", F.lit(day)).orderBy("day", "shuffle_key", "example_id")
    lake.replace(TRAINING_EXAMPLES, ordered, {"day": day})
    counts = (
        lake.read(TRAINING_EXAMPLES)
        .where(F.col("day") == day)
        .agg(
            F.count("*").alias("examples"),
            F.count_if((F.col("label") == 1) & (F.col("origin") == "watch")).alias("positives"),
            F.count_if((F.col("split") == "holdout") & (F.col("label") == 1)).alias("holdout"),
        )
        .first()
    )
    assert counts is not None
    return Result(counts["examples"], counts["positives"], counts["holdout"])


def holdout(lake: Lake, cut: datetime, settings: Settings) -> pa.Table:
    """The users measured: what they had watched, what they watched next, and who they are.

    Columns: user_id, history (positives, oldest first), seen (all positives before), relevant (the held-out
    ones), watches, and the profile. At most training.holdout_users rows, chosen by hash.
    """
    moments = _moments(lake, cut, settings)
    watches = moments.where(F.col("event_type") == WATCH)
    held = F.col("split") == "holdout"
    by_user = watches.groupBy("user_id").agg(
        F.array_sort(F.collect_list(F.when(F.col("liked") & ~held, F.struct("timestamp", "event_id", "item_no"))))
        .getField("item_no")
        .alias("history"),
        F.array_sort(F.collect_set(F.when(F.col("liked") & ~held, F.col("item_no")))).alias("seen"),
        F.count_distinct(F.when(~held, F.col("item_no"))).cast("int").alias("watches"),
        F.array_sort(F.collect_set(F.when(F.col("liked") & held, F.col("item_no")))).alias("relevant"),
    )
    measured = by_user.withColumn("relevant", F.array_except("relevant", "seen")).where(F.size("relevant") > 0)
    chosen = measured.orderBy(F.xxhash64("user_id", F.lit(settings.seed)), "user_id").limit(
        settings.training.holdout_users
    )
    newest = F.slice(
        "history", F.greatest(F.size("history") - settings.training.history + 1, F.lit(1)), settings.training.history
    )
    return (
        chosen.join(_users(lake), on="user_id", how="inner")
        .select("user_id", newest.alias("history"), "seen", "relevant", "watches", *PROFILE_COLUMNS)
        .orderBy("user_id")
        .toArrow()
    )


def _users(lake: Lake) -> DataFrame:
    return lake.need(USERS, "`topshelf import DIR`").select("user_id", *PROFILE_COLUMNS)


def _moments(lake: Lake, cut: datetime, settings: Settings) -> DataFrame:
    """Watches and impressions with what came before each: positives_before, watches_before, and its split.

    An item counts as a positive once, when it was first watched to the end.
    """
    events = with_items(lake, events_before(lake, cut)).where(F.col("event_type").isin(WATCH, IMPRESSION))
    first = Window.partitionBy("user_id", "item_no", "liked").orderBy("timestamp", "event_id")
    marked = events.withColumn("liked", is_positive(settings)).withColumn(
        "liked", F.col("liked") & (F.row_number().over(first) == 1)
    )
    before = Window.partitionBy("user_id").orderBy("timestamp", "event_id").rowsBetween(Window.unboundedPreceding, -1)
    once = Window.partitionBy("user_id", "item_no", "event_type").orderBy("timestamp", "event_id")
    # As user_features counts: an item watched twice is one watch.
    new_watch = (F.col("event_type") == WATCH) & (F.row_number().over(once) == 1)
    counted = marked.withColumn("new_watch", new_watch).select(
        "user_id",
        "event_id",
        "item_no",
        "event_type",
        "liked",
        "timestamp",
        "context",
        F.coalesce(F.sum(F.col("liked").cast("int")).over(before), F.lit(0)).cast("int").alias("positives_before"),
        F.coalesce(F.sum(F.col("new_watch").cast("int")).over(before), F.lit(0)).cast("int").alias("watches_before"),
    )
    return counted.withColumn("split", _split(cut, settings))


def _split(cut: datetime, settings: Settings) -> Column:
    """Live data: the last day is held out, the day before it validates. Historical: by each user's own time.

    Of a user's n positives in time order the last n/5 (rounded down) are held out, and a tenth of the rest validates.
    """
    if settings.data.profile == "live":
        return (
            F.when(F.col("timestamp") >= F.lit(cut - timedelta(days=1)), "holdout")
            .when(F.col("timestamp") >= F.lit(cut - timedelta(days=2)), "valid")
            .otherwise("train")
        )
    total = F.sum(F.col("liked").cast("int")).over(Window.partitionBy("user_id"))
    held = F.when(total >= MIN_FOR_HOLDOUT, F.floor(total / 5)).otherwise(0)
    valid = F.ceil((total - held) / 10)
    place = F.col("positives_before")
    return (
        F.when((held > 0) & (place >= total - held), "holdout")
        .when((held > 0) & (place >= total - held - valid), "valid")
        .otherwise("train")
    )


def examples(moments: DataFrame, users: DataFrame, items: DataFrame, cut: datetime, settings: Settings) -> DataFrame:
    """TRAINING_EXAMPLES without `day`, in any order."""
    start = window_start(cut, settings.training.window_days)
    watched = (
        moments.where(F.col("liked"))
        .groupBy("user_id")
        .agg(
            F.array_sort(F.collect_list(F.struct("timestamp", "event_id", "item_no")))
            .getField("item_no")
            .alias("positives")
        )
    )
    inside = moments.where(since("timestamp", start))
    positives = inside.where(F.col("liked")).select(
        "*",
        F.lit(1.0).alias("label"),
        F.lit(1.0).alias("weight"),
        F.lit("watch").alias("origin"),
        F.col("event_id").alias("example_id"),
    )
    offered = positives.unionByName(_impressions(inside, settings))
    placed = offered.join(watched, on="user_id", how="left").withColumn(
        "positives", F.coalesce("positives", F.array().cast("array<int>"))
    )
    everything = placed.unionByName(_sampled(placed.where(F.col("origin") == "watch"), items, settings))
    keep = settings.training.history
    first = F.greatest(F.col("positives_before") - keep + 1, F.lit(1))
    return everything.join(users, on="user_id", how="inner").select(
        "example_id",
        "user_id",
        "item_no",
        "label",
        "weight",
        "origin",
        "timestamp",
        F.slice("positives", first, F.least(F.col("positives_before"), F.lit(keep))).alias("history"),
        F.col("watches_before").alias("watches"),
        F.col("context.page").alias("page"),
        F.col("context.position").alias("position"),
        daypart().alias("daypart"),
        weekday().alias("weekday"),
        *PROFILE_COLUMNS,
        "split",
        F.xxhash64("example_id", F.lit(settings.seed)).alias("shuffle_key"),
    )


def _impressions(moments: DataFrame, settings: Settings) -> DataFrame:
    """Impressions, answered or ignored. Of the ignored a hashed share is kept, weighted for those left out."""
    shown = moments.where(F.col("event_type") == IMPRESSION)
    answers = moments.where(F.col("liked")).select("user_id", "item_no", F.col("timestamp").alias("answered_at"))
    delay = F.unix_timestamp("answered_at") - F.unix_timestamp("timestamp")
    answered = (
        shown.join(answers, on=["user_id", "item_no"], how="left")
        .withColumn("label", F.coalesce((delay >= 0) & (delay < ANSWER_HOURS * 3600), F.lit(False)).cast("double"))
        .drop("answered_at")
    )
    share = settings.training.impressions_kept
    lot = F.pmod(F.xxhash64("event_id", F.lit(settings.seed), F.lit("kept")), F.lit(10_000)) < share * 10_000
    return answered.where((F.col("label") == 1) | lot).select(
        "*",
        F.when(F.col("label") == 1, 1.0).otherwise(1 / share).alias("weight"),
        F.lit("impression").alias("origin"),
        F.col("event_id").alias("example_id"),
    )


def _sampled(positives: DataFrame, items: DataFrame, settings: Settings) -> DataFrame:
    """Items drawn uniformly for each positive, of those that were out by then and the user had not watched."""
    numbered = items.where(F.col("status") == "active").select(
        F.col("item_no").alias("drawn"),
        F.greatest(F.col("release_date").cast("timestamp"), "available_from").alias("out"),
        (F.row_number().over(Window.orderBy("item_no")) - 1).alias("place"),
    )
    count = numbered.count()
    if count == 0:
        return positives.limit(0)
    draws = positives.withColumn(
        "draw", F.explode(F.sequence(F.lit(1), F.lit(settings.training.negatives)))
    ).withColumn("place", F.pmod(F.xxhash64("event_id", "draw", F.lit(settings.seed)), F.lit(count)).cast("int"))
    known = F.array_contains(F.slice("positives", 1, F.col("positives_before") + 1), F.col("drawn"))
    return (
        draws.join(F.broadcast(numbered), on="place", how="inner")
        .where(~known & F.coalesce(F.col("out") <= F.col("timestamp"), F.lit(True)))
        .select(
            *[column for column in positives.columns if column not in ("item_no", "label", "origin", "example_id")],
            F.col("drawn").alias("item_no"),
            F.lit(0.0).alias("label"),
            F.lit("sampled").alias("origin"),
            F.concat_ws("#", "event_id", "draw").alias("example_id"),
        )
    )
