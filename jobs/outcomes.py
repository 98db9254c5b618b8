"""outcomes: what users did with what they were shown, summed by user, variant and hour; and rates made from that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf.hours import Hour
from jobs.events import IMPRESSION, WATCH
from jobs.lake import Lake
from jobs.tables import EVENTS, OUTCOMES, SERVED
from models.sequential import Change, Moments, change

CLICK = "click"
CONTEXTS = ("home", "shelves")
"""Pages that the variants make: what is similar or found differs little between them."""
ANSWERED_DAYS = 2
"""An event counts for the answer that it names, if that was given within so many days before."""
MOMENTS = """
SELECT assigned, count(*) AS n, sum(pages) AS pages, sum(clicks) AS clicks,
       sum(views) AS x, sum(clicks) AS y, sum(views * views) AS xx, sum(clicks * clicks) AS yy,
       sum(views * clicks) AS xy, sum(minutes) AS minutes, sum(minutes * minutes) AS squares
FROM (
    SELECT user_id, assigned, sum(pages) AS pages, cast(sum(clicks) AS double) AS clicks, sum(minutes) AS minutes,
           cast(CASE WHEN (SELECT sum(impressions) FROM {outcomes}) > 0 THEN sum(impressions) ELSE sum(shown) END
                AS double) AS views
    FROM {outcomes} GROUP BY user_id, assigned
) AS users
WHERE views > 0 GROUP BY assigned
"""
"""Of each variant, the sums over its users. An app that tells of no impressions is taken to show all that it was
answered. Both Spark and DuckDB read it."""
CTR, WATCH_TIME = "ctr", "watch_time"


def run(lake: Lake, hour: Hour) -> int:
    """Replace the rows of `hour`; returns their number. Events count in the hour in which they arrived."""
    since = hour.date - timedelta(days=ANSWERED_DAYS)
    served = lake.read(SERVED).where(
        F.col("date").between(F.lit(since), F.lit(hour.date))
        & F.col("context").isin(*CONTEXTS)
        & F.col("user_id").isNotNull()
    )
    who = ["user_id", "assigned", "model_version"]
    pages = (
        served.where(_of(hour)).groupBy(*who).agg(F.count("*").alias("pages"), F.sum(F.size("item_ids")).alias("shown"))
    )
    done = _done(lake, hour, served.select("request_id", *who).dropDuplicates(["request_id"]))
    counts = ("pages", "shown", "impressions", "clicks", "watches", "minutes")
    rows = pages.join(done, on=who, how="full").fillna(0, subset=list(counts))
    where: dict[str, str | int | date] = {"date": hour.date, "hour": hour.start.hour}
    lake.replace(OUTCOMES, rows.withColumns({name: F.lit(value) for name, value in where.items()}), where)
    return lake.read(OUTCOMES).where(_of(hour)).count()


def _of(hour: Hour) -> Any:
    return (F.col("date") == F.lit(hour.date)) & (F.col("hour") == hour.start.hour)


def _done(lake: Lake, hour: Hour, answers: DataFrame) -> DataFrame:
    """Impressions, clicks and watches that arrived in the hour and name one of `answers`, by user and variant."""
    kind, seconds = F.col("event_type"), F.coalesce("watch_duration_sec", F.lit(0))
    events = (
        lake.read(EVENTS)
        .where(_of(hour) & kind.isin(IMPRESSION, CLICK, WATCH))
        .select(kind, "item_id", seconds.alias("seconds"), F.col("context.recommendation_id").alias("request_id"))
    )
    once = events.groupBy("event_type", "request_id", "item_id").agg(F.sum("seconds").alias("seconds"))
    return (
        once.join(answers, on="request_id", how="inner")
        .groupBy("user_id", "assigned", "model_version")
        .agg(
            F.count_if(kind == IMPRESSION).alias("impressions"),
            F.count_if(kind == CLICK).alias("clicks"),
            F.count_if(kind == WATCH).alias("watches"),
            (F.sum(F.when(kind == WATCH, F.col("seconds")).otherwise(0)) / 60).alias("minutes"),
        )
    )


@dataclass(frozen=True)
class Lift:
    """Of one variant from another: `change` of each measure, CTR and WATCH_TIME, and the users of either."""

    changes: Mapping[str, Change]
    users: int
    other_users: int


def lift(rows: Iterable[Mapping[str, Any]], variant: str, other: str, alpha: float, sharp_at: float) -> Lift | None:
    """From rows of MOMENTS; None where one of the two variants has no users."""
    found = {row["assigned"]: row for row in rows}
    if variant not in found or other not in found:
        return None
    pair = [found[variant], found[other]]
    clicks = [Moments(int(row["n"]), *(float(row[name]) for name in ("x", "y", "xx", "yy", "xy"))) for row in pair]
    minutes = [_a_user(int(row["n"]), float(row["minutes"]), float(row["squares"])) for row in pair]
    changes = {
        name: change(group, others, alpha, sharp_at) for name, (group, others) in ((CTR, clicks), (WATCH_TIME, minutes))
    }
    return Lift(changes, int(pair[0]["n"]), int(pair[1]["n"]))


def _a_user(n: int, total: float, squares: float) -> Moments:
    """Of a mean over users."""
    return Moments(n, n, total, n, squares, total)
