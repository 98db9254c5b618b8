"""How numbers of an hour are spread."""

from __future__ import annotations

from pyspark.sql import functions as F

from conf.hours import Hour
from jobs.lake import Lake
from jobs.tables import RECOMMENDATIONS

BINS = 20
LOOKED_AT = 2_000


def scores(lake: Lake, hour: Hour) -> tuple[list[int], int]:
    """Listed items in each of 20 equal bins of the score from 0 to 1, and of how many lists: 2,000 at most."""
    of_hour = (F.col("date") == hour.date) & (F.col("hour") == hour.start.hour)
    lists = lake.read(RECOMMENDATIONS).where(of_hour).limit(LOOKED_AT).select("items.score").persist()
    try:
        place = F.least(F.floor(F.col("score") * BINS), F.lit(BINS - 1)).cast("int")
        counted = lists.select(F.explode("score").alias("score")).groupBy(place.alias("place")).count().collect()
        found = {row["place"]: row["count"] for row in counted}
        return [found.get(place, 0) for place in range(BINS)], lists.count()
    finally:
        lists.unpersist()
