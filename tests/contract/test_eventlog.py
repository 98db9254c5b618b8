"""What every event log does, on the real ones: what was appended is there, for all time and for whoever reads."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conf.settings import Settings
from stores.eventlog.base import EventLog
from stores.opening import open_eventlog, open_eventlog_reader
from tests.services.stores import eventlog_settings

ROOT = Path(__file__).parents[2]
Read = Callable[..., list[dict[str, Any]]]
_WRITER = """
import sys, time
from pathlib import Path
from conf.settings import Settings
from stores.opening import open_eventlog
settings = Settings.model_validate_json(Path(sys.argv[1]).read_text())
log = open_eventlog(settings, "child", time.time)
log.append([{"event_id": f"e{n}", "user_id": "ann"} for n in range(3)])
print("appended", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["embedded", "kafka"])
def chosen(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings of an empty log of each kind."""
    return eventlog_settings(request, settings, request.param)


@pytest.fixture
def connect(chosen: Settings) -> Callable[[], EventLog]:
    """Opens the same log as a further writer."""
    return lambda: open_eventlog(chosen, f"w-{uuid.uuid4().hex}", lambda: 17.5)


@pytest.fixture
def log(connect: Callable[[], EventLog]) -> Iterator[EventLog]:
    with closing(connect()) as log:
        yield log


@pytest.fixture
def positions() -> dict[str, int]:
    return {}


@pytest.fixture
def read(chosen: Settings, positions: dict[str, int]) -> Read:
    """All that is new since the last call; `keep=False`: a call that is forgotten, as by a crash."""

    def read(keep: bool = True) -> list[dict[str, Any]]:
        with closing(open_eventlog_reader(chosen)) as reader:
            batches = list(reader.read(positions))
        for batch in batches:
            assert batch.dropped == 0
            if keep:
                positions.update(batch.positions)
        return [json.loads(record.value or b"") for batch in batches for record in batch.records]

    return read


def event(number: int, user: str = "ann") -> dict[str, Any]:
    return {"event_id": f"e{number}", "user_id": user}


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [found["event_id"] for found in events]


def test_events_come_back_as_they_were_with_the_time_of_their_append(log: EventLog, read: Read) -> None:
    given = {**event(1), "title": "Amélie\n", "context": {"position": 3}, "rating": None}
    log.append([given])
    log.append([])
    assert read() == [{**given, "logged_at": 17.5}]


def test_a_log_that_was_never_written_is_empty(read: Read) -> None:
    assert read() == []


def test_the_events_of_a_user_stay_in_order(log: EventLog, read: Read) -> None:
    for start in (0, 500):
        log.append([event(number, f"u{number % 7}") for number in range(start, start + 500)])
    found = read()
    assert len(found) == 1000
    for user in range(7):
        mine = [int(one["event_id"][1:]) for one in found if one["user_id"] == f"u{user}"]
        assert mine == list(range(user, 1000, 7))


def test_reading_goes_on_where_it_was_left_and_repeats_what_was_not_kept(log: EventLog, read: Read) -> None:
    log.append([event(1)])
    assert ids(read()) == ["e1"]
    log.append([event(2)])
    assert ids(read(keep=False)) == ["e2"]
    assert ids(read()) == ["e2"]
    assert read() == []


def test_several_writers_and_their_threads_lose_nothing(connect: Callable[[], EventLog], read: Read) -> None:
    logs = [connect(), connect()]

    def write(first: int) -> None:
        for number in range(first, first + 10):
            logs[number % 2].append([event(number)])

    threads = [threading.Thread(target=write, args=(first,)) for first in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in logs:
        log.close()
    assert sorted(ids(read())) == sorted(f"e{number}" for number in range(80))


def test_what_was_appended_survives_a_kill_of_its_writer(chosen: Settings, read: Read, tmp_path: Path) -> None:
    told = tmp_path / "settings.json"
    told.write_text(chosen.model_dump_json())
    command = [sys.executable, "-c", _WRITER, str(told)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    assert child.stdout.readline() == b"appended\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert ids(read()) == ["e0", "e1", "e2"]


def test_a_closed_log_opens_again(log: EventLog, read: Read) -> None:
    log.append([event(1)])
    log.close()
    log.append([event(2)])
    assert ids(read()) == ["e1", "e2"]
