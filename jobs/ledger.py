"""The ledger of publications, and the table of what is live: how a publication is remembered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pyspark.sql import functions as F

from jobs.lake import Lake
from jobs.tables import PLANS, PUBLICATIONS, PUBLISHED
from stores.base import Control


def heal(lake: Lake, control: Control, now: datetime) -> None:
    """Merge the plan of a generation that was switched to by a run that died before it could."""
    if not lake.exists(PUBLICATIONS) or control.current == 0:
        return
    entry = lake.read(PUBLICATIONS).where(F.col("generation") == control.current).first()
    if entry is None or entry["state"] != "verified":
        return
    merge(lake, control.current)
    note(lake, {**entry.asDict(), "state": "current", "ended_at": now})


def last_attempt(lake: Lake) -> int:
    """The highest attempt number in the ledger, of whatever store; 0: none."""
    highest = lake.read(PUBLICATIONS).agg(F.max("generation").alias("generation")).first()
    return 0 if highest is None or highest["generation"] is None else int(highest["generation"])


def merge(lake: Lake, attempt: int) -> None:
    """Take what an attempt wrote for live, and forget the plans before it. May be repeated."""
    lake.upsert(PUBLISHED, lake.read(PLANS).where(F.col("generation") == attempt))
    lake.delete(PLANS, F.col("generation") < attempt)


def note(lake: Lake, entry: dict[str, Any]) -> None:
    """Write an attempt's state to the ledger. One that becomes current retires the one before it."""
    rows = lake.spark.createDataFrame([tuple(entry[name] for name in PUBLICATIONS.columns)], PUBLICATIONS.schema)
    if entry["state"] == "current":
        before = (F.col("state") == "current") & (F.col("generation") != entry["generation"])
        rows = rows.unionByName(lake.read(PUBLICATIONS).where(before).withColumn("state", F.lit("retired")))
    lake.upsert(PUBLICATIONS, rows)
