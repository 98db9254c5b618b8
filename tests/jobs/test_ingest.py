"""From the service's log to Delta: each event once, stamped when it arrives."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conf.hours import Hour
from jobs import ingest
from jobs.tables import EVENTS
from stores.eventlog.embedded import EmbeddedEventLog

FIRST = datetime(2026, 1, 10, 5, 20, tzinfo=UTC)
SECOND = datetime(2026, 1, 10, 6, 10, tzinfo=UTC)


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}", "user_id": "ann", "item_id": "alien", "event_type": "watch",
        "watch_duration_sec": 60, "completed": False, "rating": None, "timestamp": f"2026-01-10T05:0{number}:00Z",
        "context": {"page": "home", "position": number}, **more,
    }  # fmt: skip


def test_each_event_arrives_once_and_counts_from_its_arrival(lake, tmp_path: Path):
    folder = tmp_path / "eventlog"
    log = EmbeddedEventLog(folder, "worker", clock=lambda: 0.0)
    log.append([event(1), event(2)])
    early, late = Hour.of(FIRST), Hour.of(SECOND)

    assert ingest.run(lake, early, folder, FIRST) == ingest.Result(read=2, new=2, in_hour=2)
    assert ingest.run(lake, early, folder, FIRST) == ingest.Result(read=0, new=0, in_hour=2)
    log.append([event(2, timestamp="2026-01-10T05:09:00Z"), event(3)])  # the second one was sent again, and restamped
    assert ingest.run(lake, early, folder, SECOND) == ingest.Result(read=2, new=1, in_hour=2)
    log.close()

    rows = {row["event_id"]: row for row in lake.read(EVENTS).collect()}
    assert {name: row["hour"] for name, row in rows.items()} == {"e1": 5, "e2": 5, "e3": 6}
    assert rows["e1"]["context"]["position"] == 1
    assert rows["e1"]["timestamp"] == datetime(2026, 1, 10, 5, 1)  # noqa: DTZ001  Spark gives UTC without a zone
    assert ingest.watermark(folder, early) == int(FIRST.timestamp())
    assert ingest.watermark(folder, late) == int(SECOND.timestamp())
    assert ingest.watermark(folder, Hour.parse("2026-01-10T03")) == 0


def test_a_crash_before_the_offsets_are_saved_repeats_nothing(lake, tmp_path: Path):
    folder = tmp_path / "eventlog"
    log = EmbeddedEventLog(folder, "worker", clock=lambda: 0.0)
    log.append([event(1), event(2)])
    log.close()
    ingest.run(lake, Hour.of(FIRST), folder, FIRST)
    (folder / ingest.STATE_FILE).unlink()
    assert ingest.run(lake, Hour.of(FIRST), folder, FIRST) == ingest.Result(read=2, new=0, in_hour=2)
