"""What a publication costs, before and after it: write units, bytes and dollars by the price table in conf."""

from __future__ import annotations

from dataclasses import dataclass

from conf.errors import PermanentError
from conf.settings import Settings
from stores.base import ROW_OVERHEAD
from stores.records import HEADER_BYTES

UNIT_BYTES = 1024
"""What one DynamoDB write unit carries."""
ROW_BYTES = HEADER_BYTES + ROW_OVERHEAD
"""Of a stored row, beside its user_id and its body."""
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


def estimate(rows: int, size: int, units: int, settings: Settings, empty_store: bool) -> Estimate:
    """The cost of writing rows of `size` bytes in all, which take so many of DynamoDB's write units."""
    charged = float(units) if settings.store.kind == "dynamodb" else 0.0
    return Estimate(rows, size, charged, dollars(charged, settings), cheaper(size, charged, settings, empty_store))


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
