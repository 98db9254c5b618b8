"""What a publication sets out to write: worked out in Delta, never by reading the store.

One exception: where published is not about the store as it stands (it was put back, or another lake wrote to it), the
store is asked where each user's live list lies, so that no list is overwritten that readers still need. So it is of
users whom a hidden attempt had touched, once an erasure has ended the history of published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StructField, StructType

from conf.hours import Hour
from conf.settings import Settings
from jobs import barrier
from jobs.barrier import Barred
from jobs.cost import ROW_BYTES, UNIT_BYTES
from jobs.lake import Lake
from jobs.ledger import KEY, Ledger
from jobs.tables import PLANS, PUBLISHED, RECOMMENDATIONS
from stores.base import CHAMPION, RING, VARIANTS, newest
from stores.control import Control
from stores.opening import open_store

ROWS_A_TASK = 20_000
"""Of a load: small enough that progress, which executors tell at the end of a task, moves every few seconds."""
CHANGED, CARRIED = "changed", "carried"
_LIST = ("items", "region", "maturity_limit", "body", "hash", "hour")


@dataclass(frozen=True)
class Counts:
    """Rows of a plan, and a checksum over all of them. planned = changed + carried."""

    planned: int
    carried: int
    again: int
    """Rows that an attempt before had planned too."""
    bytes: int
    """Of the rows as a store keeps them."""
    units: int
    """DynamoDB's write units, by those bytes."""
    checksum: str


def make(lake: Lake, hour: Hour, control: Control, ledger: Ledger, settings: Settings) -> DataFrame:
    """Rows of PLANS, without a generation:

    - lists of this hour that differ from what readers see, or whose user an earlier attempt had planned without its
      rows becoming visible (the store may hold some of them);
    - lists that such an attempt had planned for users who were not scored in this hour;
    - to a store other than the one that `published` describes: everybody's.

    Each goes to the next place of the user's ring, which never holds the list that readers see. Users who were
    forgotten get no row.
    """
    ours = ledger.describes(control)
    published = lake.read(PUBLISHED)
    # A challenger's lists of another day may be another model's.
    champion = F.col("variant") == CHAMPION
    mine = (F.col("store_id") == control.store_id) & F.lit(ours)
    old = published.where(mine).select(*KEY, F.col("hash").alias("old_hash"), F.col("ring_position").alias("old_place"))
    wanted = _fresh(lake, hour).withColumn("why", F.lit(CHANGED))
    if not (ours and ledger.only_store):
        wanted = wanted.unionByName(
            _without(published.where(~mine & champion).withColumn("why", F.lit(CARRIED)), wanted)
        )
    left = ledger.left_behind(control)
    if left is None:
        wanted = wanted.withColumn("again", F.lit(False))
    else:
        # Lists of bad generations are not worth carrying over: their users keep what readers see until they are scored.
        aborted = left.where(
            champion & F.col("generation").isin(*control.aborted, control.lease) & (F.col("hour") <= hour.start)
        )
        wanted = wanted.unionByName(_without(aborted.withColumn("why", F.lit(CARRIED)), wanted))
        touched = left.select(*KEY, F.lit(True).alias("touched"))
        wanted = wanted.join(touched, on=KEY, how="left").withColumn("again", F.coalesce("touched", F.lit(False)))
    barred = barrier.load(lake, settings, control)
    wanted = barred.without(wanted).join(old, on=KEY, how="left")
    wanted = wanted.where(~F.col("hash").eqNullSafe(F.col("old_hash")) | F.col("again"))
    if ours or control.attempts == 0:
        place = F.when(F.col("old_place").isNull(), 0).otherwise((F.col("old_place") + 1) % RING)
        placed = wanted.withColumn("ring_position", place)
        if left is not None and barred:
            # After an erasure the ledger may not have found the list that readers went back to.
            unsure = F.col("old_place").isNull() & F.col("again")
            looked = _placed_by_looking(wanted.where(unsure), control, settings)
            placed = placed.where(~unsure).unionByName(looked)
    else:
        placed = _placed_by_looking(wanted, control, settings)
    return placed.select(
        *[name for name in PLANS.columns if name not in {"generation", "store_id"}],
        F.lit(control.store_id).alias("store_id"),
    )


def save(lake: Lake, plan: DataFrame, attempt: int) -> Counts:
    """Write a plan down under its attempt's number, which no other has."""
    lake.append(PLANS, plan.withColumn("generation", F.lit(attempt)), ROWS_A_TASK)
    return count(lake, attempt)


def leave_out(lake: Lake, attempt: int, variant: str) -> Counts:
    """Take the lists of a variant out of a plan that nothing was loaded of yet."""
    lake.delete(PLANS, (F.col("generation") == attempt) & (F.col("variant") == variant))
    return count(lake, attempt)


def forget(lake: Lake, attempt: int, barred: Barred) -> None:
    """Take the rows of users who were forgotten out of a plan."""
    rows = lake.read(PLANS).where(F.col("generation") == attempt)
    lake.replace(PLANS, barred.without(rows), {"generation": attempt})


def count(lake: Lake, attempt: int) -> Counts:
    """What a plan holds."""
    rows = lake.read(PLANS).where(F.col("generation") == attempt)
    size = F.octet_length("user_id") + F.octet_length("body") + F.lit(ROW_BYTES)
    each = F.xxhash64("user_id", "variant", "ring_position", "hash")
    total = rows.agg(
        F.count("*").alias("planned"),
        F.count_if(F.col("why") == CARRIED).alias("carried"),
        F.count_if("again").alias("again"),
        F.coalesce(F.sum(size), F.lit(0)).alias("bytes"),
        F.coalesce(F.sum(F.ceil(size / UNIT_BYTES)), F.lit(0)).alias("units"),
        F.coalesce(F.bit_xor(each), F.lit(0)).alias("checksum"),
    ).first()
    assert total is not None  # an aggregate without groups has one row
    return Counts(**{**total.asDict(), "checksum": f"{total['checksum'] & (2**64 - 1):016x}"})


def _fresh(lake: Lake, hour: Hour) -> DataFrame:
    of_hour = (F.col("date") == hour.date) & (F.col("hour") == hour.start.hour)
    return lake.read(RECOMMENDATIONS).where(of_hour).withColumn("hour", F.lit(hour.start)).select(*KEY, *_LIST)


def _without(rows: DataFrame, others: DataFrame) -> DataFrame:
    """The lists of `rows` whose users are not among the `others`."""
    return rows.select(*KEY, *_LIST, "why").join(others.select(*KEY), on=KEY, how="left_anti")


def _placed_by_looking(wanted: DataFrame, control: Control, settings: Settings) -> DataFrame:
    """Each row with a place that holds neither the list readers see nor, where it can be helped, the one before."""

    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with open_store(settings) as store:
            for batch in batches:
                users = zip(batch.column("user_id").to_pylist(), batch.column("variant").to_pylist(), strict=True)
                places = [_place(store.ring(user, VARIANTS.index(variant)), control) for user, variant in users]
                yield batch.append_column("ring_position", pa.array(places, pa.int32()))

    schema = StructType([*wanted.schema.fields, StructField("ring_position", IntegerType())])
    return wanted.mapInArrow(look, schema)


def _place(ring: dict[int, bytes], control: Control) -> int:
    shown = newest(ring, control)
    return next((place for place in range(RING) if place not in shown[: RING - 1]), 0)
