"""What can be told of a new model's lists before anybody is served them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf.hours import Hour
from jobs.lake import Lake
from jobs.outcomes import CLICK
from jobs.tables import EVENTS, ITEMS, PUBLISHED, SERVED
from models.offpolicy import Estimate, Logged, snips
from stores.base import CHALLENGER, CHAMPION

TOP = 20
LOGGED_DAYS = 7
MAX_PLACES = 200_000
"""Of the log, at most, in an order that has to do with nothing."""
MIN_EFFECTIVE = 100
"""Places that an estimate must be worth, to be told at all."""


def compared(lake: Lake, since: int, store_id: str) -> dict[str, Any]:
    """How the challenger's lists since a generation differ from the champion's lists of the same users."""
    pairs = _pairs(lake, since, store_id)
    row = pairs.agg(
        F.count("*").alias("lists"),
        F.avg(F.size(F.array_intersect("new", "old")) / F.size("old")).alias("overlap"),
        F.avg("new_score").alias("score"),
        F.avg("old_score").alias("champion_score"),
    ).first()
    assert row is not None  # an aggregate without groups has one row
    return {name: value if name == "lists" else float(value or 0.0) for name, value in row.asDict().items()}


def estimated_clicks(lake: Lake, hour: Hour, since: int, store_id: str) -> dict[str, Any]:
    """Clicks a place that exploration filled, had it shown one of the first TOP of each variant's list, any as likely.

    By snips (models/offpolicy.py) over users, from LOGGED_DAYS of pages on home. `places` is how many were drawn; an
    estimate is left out where the log is worth fewer than MIN_EFFECTIVE places for it.
    """
    places = _explored(lake, hour).join(_pairs(lake, since, store_id), on="user_id", how="inner")
    drawn = places.select(
        "user_id",
        "propensity",
        "clicked",
        *(F.array_contains(name, F.col("item_no")).alias(name) for name in ("new", "old")),
    )
    rows = drawn.orderBy(F.xxhash64("user_id", "propensity"), "user_id").limit(MAX_PLACES).toArrow()
    evidence: dict[str, Any] = {"places": rows.num_rows}
    columns = {name: rows[name].to_numpy(zero_copy_only=False) for name in rows.column_names}
    for variant, name in ((CHALLENGER, "new"), (CHAMPION, "old")):
        shown = columns[name].astype(bool)
        if not shown.any() or len(set(columns["user_id"])) < 2:
            continue
        target = np.where(shown, 1 / TOP, 0.0)
        reward = columns["clicked"].astype(np.float64)
        found = snips(Logged(reward, columns["propensity"].astype(np.float64), target, columns["user_id"]))
        if found.effective >= MIN_EFFECTIVE:
            evidence[f"{variant}_clicks"] = _rounded(found)
    return evidence


def _rounded(found: Estimate) -> dict[str, float]:
    return {name: round(value, 5) for name, value in found._asdict().items()}


def _pairs(lake: Lake, since: int, store_id: str) -> DataFrame:
    """user_id, and of the first TOP of the challenger's and the champion's list: item_nos and mean score."""
    live = lake.read(PUBLISHED).where((F.col("store_id") == store_id) & (F.size("items") > 0))
    first = F.slice("items.item_no", 1, TOP)
    score = F.aggregate(F.slice("items.score", 1, TOP), F.lit(0.0), lambda a, b: a + b) / F.size(first)
    new = live.where((F.col("variant") == CHALLENGER) & (F.col("generation") >= since))
    old = live.where(F.col("variant") == CHAMPION)
    return new.select("user_id", first.alias("new"), score.alias("new_score")).join(
        old.select("user_id", first.alias("old"), score.alias("old_score")), on="user_id"
    )


def _explored(lake: Lake, hour: Hour) -> DataFrame:
    """user_id, item_no, propensity and clicked of each place on a home page whose item was drawn."""
    since = hour.date - timedelta(days=LOGGED_DAYS)
    within = F.col("date").between(F.lit(since), F.lit(hour.date))
    place = F.arrays_zip("item_ids", "propensities")
    places = (
        lake.read(SERVED)
        .where(within & (F.col("context") == "home") & F.col("user_id").isNotNull())
        .select("request_id", "user_id", F.explode(place).alias("place"))
        .select(
            "request_id",
            "user_id",
            F.col("place.item_ids").alias("item_id"),
            F.col("place.propensities").alias("propensity"),
        )
        .where(F.col("propensity") < 1)
    )
    clicks = (
        lake.read(EVENTS)
        .where(within & (F.col("event_type") == CLICK))
        .select(F.col("context.recommendation_id").alias("request_id"), "item_id", F.lit(True).alias("clicked"))
        .distinct()
    )
    numbers = lake.read(ITEMS).select("item_id", "item_no")
    return (
        places.join(clicks, on=["request_id", "item_id"], how="left")
        .join(numbers, on="item_id", how="inner")
        .select("user_id", "item_no", "propensity", F.coalesce("clicked", F.lit(False)).alias("clicked"))
    )
