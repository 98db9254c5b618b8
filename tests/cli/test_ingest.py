"""`topshelf ingest` says what it found; `topshelf stream` what it cannot read."""

from __future__ import annotations

import json
import os
from contextlib import closing
from datetime import UTC, datetime

import pytest
from pyspark.sql import SparkSession

from conf.loading import load
from stores.opening import open_eventlog
from tests.cli.conftest import Topshelf

EVENT = {"user_id": "ann", "item_id": "m1", "event_type": "click", "timestamp": "2026-01-01T05:00:00+00:00"}


@pytest.mark.usefixtures("small_lake", "spark")
def test_what_was_logged_is_in_the_table_and_counted(topshelf: Topshelf, spark: SparkSession) -> None:
    settings = load(os.environ).settings
    with closing(open_eventlog(settings, "w", lambda: 0.0)) as log:
        log.append([{**EVENT, "event_id": name} for name in ("e1", "e2", "e1")])
    before = datetime.now(UTC).timestamp()
    result = topshelf("ingest", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert before - 1 <= found.pop("watermark") <= datetime.now(UTC).timestamp()
    assert found == {"log": "embedded", "read": 3, "new": 2, "rejected": 0, "dropped": 0, "erased": 0}
    assert spark.read.format("delta").load(f"{settings.lake_root}/events").count() == 2

    again = topshelf("ingest")
    assert again.stdout.startswith(f"0 events in the log ({settings.eventlog_path}) since the last time, 0 of them new")
    assert "watermark: 20" in again.stdout


def test_a_stream_of_the_embedded_log_is_refused_with_the_way_to_move_it(topshelf: Topshelf) -> None:
    result = topshelf("stream")
    assert result.exit_code == 2
    assert "the stream reads Kafka: `topshelf ingest`, or the sensor new_events" in result.stderr
