"""How many events a second become training examples, and in how much memory, with ever more of them.

\b
    python -m bench.prepare                                                # 1 and 4 million events
    python -m bench.prepare --events 25000000 --events 100000000 --rounds 1 --set spark.driver_memory=4g

A quarter of the events are watches, the rest impressions, 80 of each user within a training's window of 30 days. The
step that is measured is the pipeline's: histories put together as they stood at each event, negatives drawn, all of it
shuffled and written to Delta. Each size is measured beside the smallest one, in one process whose Spark is warm. Prints
JSON lines: events a second, and memory of all processes; bytes that did not fit and were spilled to disk.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from bench.hour_world import LEANING, append, pick, user, write_items, write_users
from bench.lines import emit, progress
from bench.memory import Peak
from bench.worlds import workshop
from conf.loading import load
from conf.settings import Settings
from jobs import examples
from jobs.lake import Lake
from jobs.tables import EVENTS, HISTORY_HOUR

END = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 30
PER_USER = 80
WATCHED = 4
"""Each so-many-th event is a watch."""
WARM = 100_000


@dataclass
class Found:
    """Of one size, one value a round; of its peer, the smallest, those of the same rounds."""

    speed: list[float] = field(default_factory=list)
    peer_speed: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    peer_memory: list[float] = field(default_factory=list)
    spilled: list[float] = field(default_factory=list)
    examples: int = 0


@click.command(help=__doc__)
@click.option(
    "--events", "sizes", type=click.IntRange(min=10_000), multiple=True, default=(1_000_000, 4_000_000),
    show_default=True, help="How many. Repeatable.",
)  # fmt: skip
@click.option("--items", default=10_000, show_default=True, type=click.IntRange(min=100), help="Items.")
@click.option("--rounds", default=2, show_default=True, type=click.IntRange(min=1), help="Times each is measured.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A setting of the pipeline. Repeatable.")
def main(sizes: Sequence[int], items: int, rounds: int, overrides: tuple[str, ...]) -> None:
    with workshop(*overrides) as (spark, folder):
        worlds = {size: _world(spark, folder / str(size), size, items, overrides) for size in sorted({WARM, *sizes})}
        _measure(worlds[WARM])
        smallest, found = min(sizes), {size: Found() for size in sorted(set(sizes))}
        for number in range(rounds):
            for size, one in found.items():
                made, seconds, memory, spilled = _measure(worlds[size])
                peer = _measure(worlds[smallest])
                progress(
                    f"round {number + 1}, {size:,} events: {size / seconds:,.0f} a second, {made:,} examples, "
                    f"{memory / 1e9:.1f} GB of memory, {spilled / 1e9:.1f} GB spilled"
                )
                one.speed.append(size / seconds)
                one.peer_speed.append(smallest / peer[1])
                one.memory.append(memory)
                one.peer_memory.append(peer[2])
                one.spilled.append(spilled)
                one.examples = made
    for size, one in found.items():
        emit("prepare", one.speed, "events/s", size, f"{smallest:,}", one.peer_speed)
        emit("prepare.memory", one.memory, "bytes", size, f"{smallest:,}", one.peer_memory)
        emit("prepare.spilled", one.spilled, "bytes", size)
        emit("prepare.examples", [float(one.examples)], "examples", size)


def _world(
    spark: SparkSession, home: Path, events: int, items: int, overrides: tuple[str, ...]
) -> tuple[Lake, Settings]:
    progress(f"writing {events:,} events")
    settings = load({"TOPSHELF_HOME": str(home)}, overrides).settings
    lake, users = Lake(spark, settings.lake_root), events // PER_USER
    write_users(lake, users)
    write_items(lake, 0, items)
    seconds = F.pmod(F.xxhash64("id", "n"), F.lit(DAYS * 86400))
    share = F.pmod(F.xxhash64("id", "n", F.lit(1)), F.lit(1_000_000)) / 1_000_000
    watch = F.col("n") % WATCHED == 0
    shown = F.struct(
        F.lit("tv").alias("device"),
        F.lit("home").alias("page"),
        pick("n", 20).alias("position"),
        F.lit(None).cast("string").alias("recommendation_id"),
        F.lit(None).cast("string").alias("model_version"),
    )
    rows = spark.range(users).select("id", F.explode(F.sequence(F.lit(1), F.lit(PER_USER))).alias("n"))
    rows = rows.select(
        F.concat_ws("-", "id", "n").alias("event_id"),
        user("id").alias("user_id"),
        F.concat(F.lit("item-"), F.floor(F.pow(share, F.lit(LEANING)) * items).cast("string")).alias("item_id"),
        F.when(watch, "watch").otherwise("impression").alias("event_type"),
        F.when(watch, pick("n", 2).cast("boolean")).alias("completed"),
        F.when(~watch, shown).alias("context"),
        F.timestamp_seconds(F.lit(int(END.timestamp())) - 1 - seconds).alias("timestamp"),
    )
    year = F.make_date(F.year("timestamp"), F.lit(1), F.lit(1))
    when = {"ingested_at": F.col("timestamp"), "date": year, "hour": F.lit(HISTORY_HOUR)}
    append(lake, EVENTS, rows.withColumns(when))
    return lake, settings


def _measure(world: tuple[Lake, Settings]) -> tuple[int, float, float, float]:
    """Examples made, seconds, bytes of memory at most, bytes spilled."""
    lake, settings = world
    last = max((stage.stageId() for stage in _stages(lake.spark)), default=-1)
    with Peak() as peak:
        began = time.perf_counter()
        made = examples.run(lake, END.date(), END, settings)
        seconds = time.perf_counter() - began
    spilled = sum(int(stage.diskBytesSpilled()) for stage in _stages(lake.spark) if stage.stageId() > last)
    return made.examples, seconds, peak.anonymous, spilled


def _stages(spark: SparkSession) -> list[Any]:
    """Those that Spark remembers, the last thousand."""
    store: Any = spark.sparkContext._jsc.sc().statusStore()
    defaults = [getattr(store, f"stageList$default${place}")() for place in range(2, 6)]
    found = store.stageList(None, *defaults)
    return [found.apply(place) for place in range(found.size())]


if __name__ == "__main__":
    main()
