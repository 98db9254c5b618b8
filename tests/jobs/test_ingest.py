"""From the service's log to Delta: each event once, stamped when it arrives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conf.hours import Hour
from conf.settings import Settings
from jobs import event_commits, ingest, log_state
from jobs.lake import Lake
from jobs.tables import EVENTS, REJECTED_EVENTS
from stores.eventlog.base import EventLog
from stores.opening import open_eventlog, open_eventlog_reader
from tests.services.stores import eventlog_settings

FIRST = datetime(2026, 1, 10, 5, 20, tzinfo=UTC)
SECOND = datetime(2026, 1, 10, 6, 10, tzinfo=UTC)
EARLY, LATE = Hour.of(FIRST), Hour.of(SECOND)
Ingest = Callable[[datetime], ingest.Result]
SKEW = {"embedded": 0, "kafka": 60}


@pytest.fixture(params=SKEW)
def chosen(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings of an empty log of each kind."""
    return eventlog_settings(request, settings, request.param)


@pytest.fixture
def log(chosen: Settings) -> Iterator[EventLog]:
    with closing(open_eventlog(chosen, "worker", lambda: 0.0)) as log:
        yield log


@pytest.fixture
def run(lake: Lake, chosen: Settings) -> Ingest:
    """One pass at the given time."""

    def run(now: datetime) -> ingest.Result:
        with closing(open_eventlog_reader(chosen)) as reader:
            return ingest.run(lake, reader, chosen.eventlog_path, lambda: now)

    return run


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}", "user_id": "ann", "item_id": "alien", "event_type": "watch",
        "watch_duration_sec": 60, "completed": False, "rating": None, "timestamp": f"2026-01-10T05:0{number}:00Z",
        "context": {"page": "home", "position": number}, **more,
    }  # fmt: skip


def counts(result: ingest.Result) -> tuple[int, int, int]:
    return result.read, result.new, result.rejected


def test_each_event_arrives_once_and_counts_from_its_arrival(
    lake: Lake, chosen: Settings, log: EventLog, run: Ingest
) -> None:
    skew, folder = SKEW[chosen.eventlog.kind], chosen.eventlog_path
    log.append([event(1), event(2)])
    first = run(FIRST)
    assert (counts(first), first.watermark) == ((2, 2, 0), int(FIRST.timestamp()) - skew)
    assert counts(run(FIRST)) == (0, 0, 0)
    log.append([event(2, timestamp="2026-01-10T05:09:00Z"), event(3)])  # the first one was sent again, and restamped
    assert counts(run(SECOND)) == (2, 1, 0)

    rows = {row["event_id"]: row for row in lake.read(EVENTS).collect()}
    assert {name: row["hour"] for name, row in rows.items()} == {"e1": 5, "e2": 5, "e3": 6}
    assert rows["e1"]["context"]["position"] == 1
    assert rows["e1"]["timestamp"] == datetime(2026, 1, 10, 5, 1)  # noqa: DTZ001  Spark gives UTC without a zone
    assert [lake.read(EVENTS).where(ingest.arrived(hour)).count() for hour in (EARLY, LATE)] == [2, 1]
    assert log_state.watermark(folder, EARLY) == int(FIRST.timestamp()) - skew
    assert log_state.watermark(folder, LATE) == int(SECOND.timestamp()) - skew
    assert log_state.watermark(folder, Hour.parse("2026-01-10T03")) == 0


@pytest.mark.parametrize("chosen", ["embedded"], indirect=True)
def test_a_crash_before_the_positions_are_saved_repeats_nothing(chosen: Settings, log: EventLog, run: Ingest) -> None:
    log.append([event(1), event(2)])
    run(FIRST)
    (chosen.eventlog_path / log_state.STATE_FILE).unlink()
    assert counts(run(FIRST)) == (2, 0, 0)


def test_what_is_no_event_is_set_aside_once_and_the_rest_goes_on(
    lake: Lake, chosen: Settings, log: EventLog, run: Ingest
) -> None:
    log.append([{"event_id": "e1", "user_id": "ann"}, event(2), event(3, timestamp="2027-01-10T05:00:00Z")])
    assert counts(run(FIRST)) == (1, 1, 2)
    # As by a crash before the positions are noted.
    (chosen.eventlog_path / log_state.STATE_FILE).unlink()
    assert counts(run(SECOND)) == (1, 0, 2)
    found = {row["reason"]: row for row in lake.read(REJECTED_EVENTS).collect()}
    assert set(found) == {
        "item_id is not a text of 1 to 200 characters",
        "timestamp is more than a day in the future",
    }
    assert b'"event_id":"e3"' in bytes(found["timestamp is more than a day in the future"]["value"])
    assert lake.read(REJECTED_EVENTS).count() == 2


@pytest.mark.parametrize("chosen", ["embedded"], indirect=True)
def test_a_commit_that_outlives_its_process_is_refused(
    lake: Lake, chosen: Settings, log: EventLog, run: Ingest
) -> None:
    folder = chosen.eventlog_path
    log.append([event(1)])
    run(FIRST)
    with log_state.alone(folder) as state:
        late = event_commits.begin(lake, folder, state)  # and here its process dies; Java goes on
    log.append([event(2)])
    run(SECOND)
    (row,) = lake.read(EVENTS).where("event_id = 'e2'").collect()
    lake.append(EVENTS, lake.spark.createDataFrame([row], EVENTS.schema), numbered=late)
    assert lake.read(EVENTS).count() == 2


def test_a_pass_that_begins_just_after_the_hour_is_not_in_it(chosen: Settings, run: Ingest) -> None:
    run(FIRST)
    run(datetime(2026, 1, 10, 6, 0, 30, tzinfo=UTC))
    # Though the clocks of two machines may differ by more than those 30 seconds.
    assert log_state.watermark(chosen.eventlog_path, EARLY) == int(FIRST.timestamp()) - SKEW[chosen.eventlog.kind]


@pytest.mark.parametrize("chosen", ["embedded"], indirect=True)
def test_a_clock_that_goes_back_adds_nothing_to_an_hour_that_was_read(lake: Lake, log: EventLog, run: Ingest) -> None:
    run(SECOND)
    log.append([event(1)])
    run(FIRST)
    assert [row["hour"] for row in lake.read(EVENTS).collect()] == [6]


@pytest.mark.parametrize("chosen", ["embedded"], indirect=True)
def test_passes_take_turns(lake: Lake, log: EventLog, run: Ingest) -> None:
    log.append([event(number) for number in range(5)])
    results: list[ingest.Result] = []
    threads = [threading.Thread(target=lambda: results.append(run(FIRST))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.read for result in results) == [0, 5]
    assert lake.read(EVENTS).count() == 5


@pytest.mark.parametrize("chosen", ["embedded"], indirect=True)
def test_batches_are_joined_up_to_a_commits_size(
    lake: Lake, chosen: Settings, run: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "EVENTS_A_COMMIT", 2)
    for number in range(1, 4):
        with closing(open_eventlog(chosen, f"w{number}", lambda: 0.0)) as log:
            log.append([event(number)])
    assert counts(run(FIRST)) == (3, 3, 0)
    assert lake.version(EVENTS) == 1


def test_finished_segments_go_once_they_are_in_the_table_whole(lake: Lake, settings: Settings) -> None:
    folder, after = settings.eventlog_path, datetime.now(UTC) + timedelta(days=1)
    for name in ("first", "second"):
        with closing(open_eventlog(settings, name, lambda: 0.0)) as log:
            log.append([event(1, event_id=name)])
        if name == "first":
            with closing(open_eventlog_reader(settings)) as reader:
                ingest.run(lake, reader, folder, lambda: FIRST)
    assert ingest.drop_ingested(folder, datetime.now(UTC) - timedelta(days=1)) == 0
    assert ingest.drop_ingested(folder, after) == 1
    with closing(open_eventlog_reader(settings)) as reader:
        assert counts(ingest.run(lake, reader, folder, lambda: SECOND))[:2] == (1, 1)  # what was left is the second's
    assert ingest.drop_ingested(folder, after) == 1
