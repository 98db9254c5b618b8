"""A lake of synthetic users, items and events, to which hours are added in which little happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from bench import scorers
from conf.hours import Hour
from conf.settings import Settings
from jobs.catalogue import catalogue
from jobs.lake import Lake
from jobs.registry import Model, Registry
from jobs.tables import EVENTS, HISTORY_HOUR, ITEMS, USERS, Table
from models.modelfiles import save_model

FIRST = Hour(datetime(2026, 3, 2, 0, tzinfo=UTC))
DAYS = 20
"""Of history, all of which lies within the time in which a user counts as active."""
WATCHES = (5, 35)
WATCHES_AN_HOUR = 3
LEANING = 3
"""A watch is of the item whose share of the catalogue is a random number to this power."""


class HourWorld:
    """What hours are made from. Nothing is trained."""

    def __init__(self, lake: Lake, settings: Settings, users: int, items: int, seed: int) -> None:
        self.lake, self.users, self.items = lake, users, items
        spark = lake.spark
        write_users(lake, users)
        write_items(lake, 0, items)
        span = WATCHES[1] - WATCHES[0]
        count = F.lit(WATCHES[0]) + pick("id", span + 1, 2)
        watches = spark.range(users).select("id", F.explode(F.sequence(F.lit(1), count)).alias("n"))
        seconds = F.pmod(F.xxhash64("id", "n", F.lit(3)), F.lit(DAYS * 86400))
        self._events(watches, "h", F.timestamp_seconds(F.lit(int(FIRST.start.timestamp())) - 1 - seconds))
        made = scorers.scorer(items, settings, seed)
        folder = settings.models_path / "bench"
        digest = save_model(made.model, catalogue(lake), folder)
        registry = Registry(lake, settings)
        model = registry.add(Model("bench", "", folder, FIRST.start, {}, digest), FIRST.start, "made")
        registry.deploy(model, FIRST.start, "the first")

    def happen(self, hour: Hour, percent: float, new: int) -> None:
        """A share of the users watch something in `hour`, at the end of which there are so many new items."""
        number = round((hour.start - FIRST.start) / timedelta(hours=1))
        drawn = F.pmod(F.xxhash64("id", F.lit(number)), F.lit(10_000)) < percent * 100
        few = self.lake.spark.range(self.users).where(drawn)
        watches = few.select("id", F.explode(F.sequence(F.lit(1), F.lit(WATCHES_AN_HOUR))).alias("n"))
        seconds = F.pmod(F.xxhash64("id", "n"), F.lit(3600))
        at = F.timestamp_seconds(F.lit(int(hour.start.timestamp())) + seconds)
        self._events(watches, f"{number}-", at, hour)
        write_items(self.lake, self.items, new)
        self.items += new

    def _events(self, watches: DataFrame, prefix: str, at: Column, hour: Hour | None = None) -> None:
        """watches: id of a user and n, a number of the watch."""
        share = F.pmod(F.xxhash64("id", "n", F.lit(prefix)), F.lit(1_000_000)) / 1_000_000
        item = F.floor(F.pow(share, F.lit(LEANING)) * self.items).cast("string")
        year = F.make_date(F.year("timestamp"), F.lit(1), F.lit(1))
        rows = watches.select(
            F.concat(F.lit(prefix), "id", F.lit("-"), "n").alias("event_id"),
            user("id").alias("user_id"),
            F.concat(F.lit("item-"), item).alias("item_id"),
            F.lit("watch").alias("event_type"),
            F.lit(True).alias("completed"),
            at.alias("timestamp"),
            at.alias("ingested_at"),
        )
        date = year if hour is None else F.lit(hour.date)
        number = F.lit(HISTORY_HOUR if hour is None else hour.start.hour)
        append(self.lake, EVENTS, rows.withColumns({"date": date, "hour": number}))


def write_users(lake: Lake, users: int) -> None:
    """So many, named by `user`."""
    rows = lake.spark.range(users).select(
        user("id").alias("user_id"),
        F.element_at(F.array(F.lit("25-34"), F.lit("35-44")), pick("id", 2) + 1).alias("age_band"),
        F.element_at(F.array(F.lit("US"), F.lit("DE")), pick("id", 2, 1) + 1).alias("region"),
        F.lit(4).alias("maturity_limit"),
    )
    append(lake, USERS, rows)


def write_items(lake: Lake, first: int, count: int) -> None:
    """item-FIRST and so on."""
    rows = lake.spark.range(first, first + count).select(
        F.col("id").cast("int").alias("item_no"),
        F.concat(F.lit("item-"), F.col("id").cast("string")).alias("item_id"),
        F.concat(F.lit("Film number "), F.col("id").cast("string")).alias("title"),
        F.array(F.concat(F.lit("Genre "), pick("id", scorers.GENRES).cast("string"))).alias("genres"),
        F.array().cast("array<string>").alias("cast"),
        (F.lit(1950) + pick("id", 75, 4)).alias("year"),
        F.lit(0).alias("maturity"),
        F.array(F.lit("*")).alias("regions"),
        F.lit("active").alias("status"),
    )
    append(lake, ITEMS, rows)


def append(lake: Lake, table: Table, rows: DataFrame) -> None:
    """What a row lacks is null."""
    lacking = [field for field in table.schema if field.name not in rows.columns]
    missing = {field.name: F.lit(None).cast(field.dataType) for field in lacking}
    lake.append(table, rows.withColumns(missing).coalesce(8))


def user(column: str) -> Column:
    """The name of the user with a number."""
    return F.format_string("user-%09d", F.col(column))


def pick(column: str, count: int, salt: int = 0) -> Column:
    """A number below `count`, by chance."""
    return F.pmod(F.xxhash64(column, F.lit(salt)), F.lit(count)).cast("int")
