"""What a publication costs, before and after it: write units, bytes and dollars by the price table in conf."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import functions as F

from conf.errors import PermanentError
from conf.settings import Settings
from jobs.lake import Lake
from jobs.tables import PLANS
from stores.base import ROW_OVERHEAD
from stores.records import HEADER_BYTES

UNIT_BYTES = 1024
"""What one DynamoDB write unit carries."""
GB = 10**9


class OverBudget(PermanentError):
    """A publication would cost more than publish.max_dollars; nothing was written."""


@dataclass(frozen=True)
class Estimate:
    rows: int
    bytes: int
    units: float
    """0 where the store charges by no unit."""
    dollars: float
    hint: str | None
    """A cheaper way, in words; None: there is none."""

    def __str__(self) -> str:
        size = f"{self.rows:,} rows, {self.bytes / 1e6:,.1f} MB"
        return f"{size}, {self.units:,.0f} write units, ${self.dollars:,.4f}" if self.units else size


def estimate(lake: Lake, attempt: int, settings: Settings, empty_store: bool) -> Estimate:
    """The cost of writing the plan of `attempt`, from the sizes of its rows."""
    size = F.octet_length("user_id") + F.octet_length("body") + F.lit(HEADER_BYTES + ROW_OVERHEAD)
    row = (
        lake.read(PLANS)
        .where(F.col("generation") == attempt)
        .agg(
            F.count("*").alias("rows"),
            F.coalesce(F.sum(size), F.lit(0)).alias("bytes"),
            F.coalesce(F.sum(F.ceil(size / UNIT_BYTES)), F.lit(0)).alias("units"),
        )
        .first()
    )
    assert row is not None  # an aggregate without groups has one row
    charged = settings.store.kind == "dynamodb"
    units = float(row["units"]) if charged else 0.0
    spent = dollars(units, settings)
    return Estimate(row["rows"], row["bytes"], units, spent, cheaper(row["bytes"], units, settings, empty_store))


def dollars(units: float, settings: Settings) -> float:
    """What write units cost beyond what is paid anyway: provisioned ones are paid by the hour, used or not."""
    if settings.dynamodb.billing == "provisioned":
        return 0.0
    return units / 1e6 * settings.prices.write_units_million


def cheaper(size: int, units: float, settings: Settings, empty_store: bool) -> str | None:
    """A way to load the same rows for less, in words; None where there is none."""
    spent, prices = dollars(units, settings), settings.prices
    if not spent:
        return None
    ways = {}
    if empty_store:
        ways["ImportTable into a new table, from S3"] = size / GB * prices.import_gb
    if prices.bulk_put_units_million is not None:
        ways["StartBulkPutItems, from S3"] = units / 1e6 * prices.bulk_put_units_million
    if not ways:
        return None
    way, price = min(ways.items(), key=lambda pair: pair[1])
    return f"{way} would cost ${price:,.4f} instead of ${spent:,.4f}" if price < spent else None


def check_budget(expected: Estimate, settings: Settings) -> None:
    """Raises OverBudget when the estimate is above publish.max_dollars."""
    limit = settings.publish.max_dollars
    if limit is not None and expected.dollars > limit:
        raise OverBudget(
            f"this publication would cost about ${expected.dollars:,.2f} ({expected}), above the limit of "
            f"${limit:,.2f}: nothing was written. Raise publish.max_dollars if it is meant"
        )
