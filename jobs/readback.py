"""Reading a loaded plan back, through the code that readers use."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import Row

from conf.errors import DataError
from conf.settings import Settings
from jobs.lake import Lake
from jobs.tables import PLANS
from stores.base import VARIANTS, Store, choose
from stores.control import Control
from stores.opening import open_store
from stores.records import body_hash, encode_body

TRIES, PAUSE_SECONDS = 4, 1.0
"""A replica may answer with what it held a moment ago; one that still does after some seconds has lost the write."""
NAMED = 5
_REPORT = pa.schema([("rows", pa.int64()), ("wrong", pa.list_(pa.string()))])


def read_back(lake: Lake, settings: Settings, store: Store, attempt: int, after: Control, again: bool) -> int:
    """Compare what readers would get after the switch with the plan: a sample of it, and every row that an attempt
    before had planned too, for a late write of that one may have come over it. Returns the number of rows compared.

    Args:
        after: the control record as the switch would leave it.
        again: whether the plan has rows that an attempt before had planned.

    Raises:
        DataError: a list does not read back as it was planned; the text names the users.
    """
    plan = lake.read(PLANS).where(F.col("generation") == attempt)
    sample = plan.orderBy(F.xxhash64("user_id", F.lit(attempt))).limit(settings.publish.sample)
    rows = sample.select("user_id", "variant", "hash").collect()
    wrong = _differing(store, rows, after)
    reports = _compared(plan.where("again"), settings, after) if again else []
    wrong += [user for report in reports for user in report["wrong"]]
    if wrong:
        raise DataError(f"generation {attempt}: the lists of {', '.join(wrong[:NAMED])} do not read back as planned")
    return len(rows) + sum(int(report["rows"]) for report in reports)


def _compared(plan: DataFrame, settings: Settings, after: Control) -> list[Row]:
    """Compare all rows of a plan, in parallel. Each report has `rows`, their number, and `wrong`, some users."""

    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with open_store(settings) as mine:
            for batch in batches:
                found = _differing(mine, (Row(**row) for row in batch.to_pylist()), after)
                yield pa.RecordBatch.from_pylist([{"rows": len(batch), "wrong": found[:NAMED]}], _REPORT)

    rows = plan.select("user_id", "variant", "hash")
    return rows.mapInArrow(compare, from_arrow_schema(_REPORT)).collect()


def _differing(store: Store, rows: Iterable[Row], after: Control) -> list[str]:
    """Users whose list is not the planned one, and who were not forgotten meanwhile."""
    left = list(rows)
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        left = [row for row in left if not _is_there(store, row, after)]
        if not left:
            break
    control = store.read_control() if left else None
    return [row["user_id"] for row in left if control is None or not control.bars(row["user_id"])]


def _is_there(store: Store, row: Row, after: Control) -> bool:
    read = choose(store.ring(row["user_id"], VARIANTS.index(row["variant"])), after)
    return read is not None and body_hash(encode_body(read.body)) == row["hash"]
