"""Some rows of a table as Dagster shows them, and how many there are.

Dagster keeps what it was told for good, where no erasure reaches. So nothing of a row about a user goes there that
could lead to the user, now or once they are forgotten: no id, no vector, no digest, no list of what they watched (its
length is shown), no time finer than an hour. A new column of such a table is left out until it is named here.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BinaryType, DataType, MapType, StructType

from conf.hours import Hour
from jobs.lake import Lake
from jobs.tables import Table

ROWS = 5
WIDTH = 60
"""Characters of a cell, at most."""
FIRST = 5
"""Entries of a list that a cell begins with."""
OF_NOBODY = frozenset(
    {
        *("item_id", "item_no", "event_type", "watch_duration_sec", "completed", "rating", "label", "weight", "origin"),
        *("age_band", "gender", "region", "segment", "subscription_tier", "maturity_limit", "watches", "daypart"),
        *("weekday", "page", "position", "split", "context", "generation", "model_id", "model_version", "assigned"),
        *("variant", "ring_position", "pages", "shown", "impressions", "clicks", "minutes", "dropped", "as_of"),
        *("date", "hour", "day"),
    }
)
"""Columns of tables about users that tell of nobody. A list is shown by its length, whatever its name."""


def of_hour(hour: Hour) -> Column:
    """The rows of an hour's partition."""
    return (F.col("date") == hour.date) & (F.col("hour") == hour.start.hour)


def contents(
    lake: Lake, table: Table, where: Column | None = None, count: int | None = None
) -> dict[str, dg.MetadataValue | int]:
    """Row count and sample rows of a table, or of one partition's rows; count: of rows, where it is known already."""
    rows = lake.read(table) if where is None else lake.read(table).where(where)
    found = rows.select(*_columns(table)).limit(ROWS).collect()
    records = [dg.TableRecord({name: _cell(value) for name, value in row.asDict().items()}) for row in found]
    counted = "dagster/row_count" if where is None else "dagster/partition_row_count"
    sample = dg.MetadataValue.table(records) if records else dg.MetadataValue.text("no rows")
    return {counted: rows.count() if count is None else count, "sample rows": sample}


def _columns(table: Table) -> list[Column]:
    personal = "user_id" in table.columns
    return [
        _column(field.name, field.dataType, personal)
        for field in table.schema
        if not isinstance(field.dataType, BinaryType) and (not personal or _tells_of_nobody(field.name, field.dataType))
    ]


def _tells_of_nobody(name: str, kind: DataType) -> bool:
    return isinstance(kind, ArrayType | MapType) or (name in OF_NOBODY and not isinstance(kind, StructType))


def _column(name: str, kind: DataType, personal: bool) -> Column:
    if not personal:
        return F.slice(name, 1, FIRST).alias(name) if isinstance(kind, ArrayType) else F.col(name)
    return (
        F.concat(F.size(name), F.lit(" entries")).alias(name) if isinstance(kind, ArrayType | MapType) else F.col(name)
    )


def _cell(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, list):
        value = ", ".join(str(_cell(each)) for each in value)
    if hasattr(value, "asDict"):
        value = " ".join(str(_cell(each)) for each in value)
    text = str(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
