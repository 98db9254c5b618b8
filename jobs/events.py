"""What every job means by an event, a watch and a positive, as of an hour."""

from __future__ import annotations

from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from conf.settings import Settings
from jobs.event_rows import AHEAD
from jobs.lake import Lake
from jobs.tables import EVENTS, HISTORY_HOUR, ITEMS

WATCH, IMPRESSION, RATE, REFUSAL = "watch", "impression", "rate", "not_interested"


def events_before(lake: Lake, cut: datetime) -> DataFrame:
    """Events that had both happened and arrived before `cut`: what an hour that ends there may know.

    A re-run sees the same rows, since what arrives later is stamped later.
    """
    return lake.need(EVENTS, "`topshelf import DIR`").where(
        (F.col("ingested_at") < F.lit(cut))
        & (F.col("timestamp") < F.lit(cut))
        # The same bound on the partitions, so that later files are not opened.
        & ((F.col("hour") == HISTORY_HOUR) | (F.col("date") <= F.lit(cut.date())))
    )


def with_items(lake: Lake, events: DataFrame) -> DataFrame:
    """`events` with item_no, genres and duration of their items."""
    items = lake.need(ITEMS, "`topshelf import DIR`").select("item_id", "item_no", "genres", "duration_min")
    return events.join(F.broadcast(items), on="item_id", how="inner")


def is_positive(settings: Settings) -> Column:
    """A watch to the end, or of more than the set share of the running time. Never null."""
    share = F.col("watch_duration_sec") / (F.col("duration_min") * 60)
    long_enough = F.coalesce(F.col("completed"), F.lit(False)) | F.coalesce(
        share > settings.training.positive_share, F.lit(False)
    )
    return (F.col("event_type") == WATCH) & long_enough


def window_start(cut: datetime, days: int | None) -> datetime | None:
    """Start of a window of whole days before `cut`; None: no bound."""
    return None if days is None else cut - timedelta(days=days)


def since(column: str, start: datetime | None) -> Column:
    return F.lit(True) if start is None else F.col(column) >= F.lit(start)


def newer_than(moment: datetime) -> Column:
    """Events that an hour which ended at `moment` could not know. With bounds on the partitions, for few files to be
    opened."""
    could = (F.col("hour") == HISTORY_HOUR) | (F.col("date") >= F.lit((moment - AHEAD).date()))
    return could & ((F.col("ingested_at") >= F.lit(moment)) | (F.col("timestamp") >= F.lit(moment)))


def daypart(column: str = "timestamp") -> Column:
    """Quarter of the UTC day, 0–3."""
    return F.floor(F.hour(column) / 6).cast("int")


def weekday(column: str = "timestamp") -> Column:
    """Monday 0 to Sunday 6."""
    return F.weekday(F.col(column)).cast("int")
