"""Sample rows are some rows, and none by which a user could be found."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
from pyspark.sql import functions as F

from assets.samples import OF_NOBODY, ROWS, contents
from jobs.lake import Lake
from jobs.tables import EVENTS, POPULARITY, TABLES

AT = datetime(2026, 1, 1, 5, 17, 23, tzinfo=UTC)
WATCH = {"user_id": "ann@example.com", "item_id": "m1", "event_type": "watch", "watch_duration_sec": 60,
         "context": {"page": "home", "recommendation_id": "her-answer"}, "timestamp": AT, "ingested_at": AT,
         "date": AT.date(), "hour": 5}  # fmt: skip


def records(shown: object) -> list[dict[str, object]]:
    assert isinstance(shown, dg.TableMetadataValue)
    return [dict(record.data) for record in shown.records]


def test_rows_about_users_tell_of_nobody(lake: Lake) -> None:
    rows = [{name: {**WATCH, "event_id": f"e{n}"}.get(name) for name in EVENTS.columns} for n in range(ROWS + 2)]
    lake.append(EVENTS, lake.spark.createDataFrame(rows, EVENTS.schema))
    shown = contents(lake, EVENTS, F.col("hour") == 5)
    assert shown["dagster/partition_row_count"] == ROWS + 2
    found = records(shown["sample rows"])
    assert found == [
        {"item_id": "m1", "event_type": "watch", "watch_duration_sec": 60, "completed": None, "rating": None,
         "date": "2026-01-01", "hour": 5}
    ] * ROWS  # fmt: skip
    assert contents(lake, EVENTS, F.col("hour") == 5, count=3)["dagster/partition_row_count"] == 3, "as it is told"
    assert contents(lake, EVENTS, F.col("hour") == 6)["sample rows"] == dg.MetadataValue.text("no rows")


def test_rows_about_items_are_shown_with_the_first_of_their_lists(lake: Lake) -> None:
    items = [(number, 1 / (number + 1)) for number in range(300)]
    lake.append(POPULARITY, lake.spark.createDataFrame([("global", items, AT.date(), 5)], POPULARITY.schema))
    (row,) = records(contents(lake, POPULARITY)["sample rows"])
    assert row["items"] == "0 1.0, 1 0.5, 2 0.3333, 3 0.25, 4 0.2"


def test_no_column_that_leads_to_a_user_is_shown() -> None:
    ids = {"user_id", "event_id", "example_id", "request_id", "hash", "body", "embedding", "shuffle_key", "timestamp",
           "ingested_at", "last_active", "created_at"}  # fmt: skip
    named = {name for table in TABLES if "user_id" in table.columns for name in table.columns}
    assert ids <= named
    assert not ids & OF_NOBODY
