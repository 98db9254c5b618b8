"""From Kafka to Delta as events come: each once, whoever is killed when, and whoever else moves events meanwhile."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from conf.hours import Hour
from conf.settings import Settings
from jobs import ingest, log_state, stream
from jobs.lake import Lake
from jobs.tables import EVENTS, REJECTED_EVENTS
from stores.eventlog.kafka import client_options
from stores.eventlog.kafka_reader import KafkaReader
from stores.opening import open_eventlog
from tests.services.stores import eventlog_settings

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 10, 5, 20, tzinfo=UTC)


@pytest.fixture
def chosen(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings of an empty topic, and of micro-batches that are soon there."""
    chosen = eventlog_settings(request, settings, "kafka")
    return chosen.model_copy(update={"stream": chosen.stream.model_copy(update={"seconds": 1})})


@pytest.fixture
def move(lake: Lake, chosen: Settings) -> Callable[[datetime], list[stream.Moved]]:
    """What the topic has now, moved by the stream; the micro-batches."""

    def move(now: datetime) -> list[stream.Moved]:
        moved: list[stream.Moved] = []
        reader = KafkaReader(chosen.kafka)
        stream.run(lake, reader, chosen, lambda: now, moved.append, threading.Event(), once=True)
        return moved

    return move


def event(name: str, **more: Any) -> dict[str, Any]:
    return {
        "event_id": name, "user_id": f"u{name}", "item_id": "alien", "event_type": "watch", "completed": True,
        "timestamp": "2026-01-10T05:00:00Z", **more,
    }  # fmt: skip


def append(chosen: Settings, *events: dict[str, Any]) -> None:
    with closing(open_eventlog(chosen, "worker", time.time)) as log:
        log.append(events)


def produce(chosen: Settings, *values: bytes) -> None:
    producer = Producer(client_options(chosen.kafka))
    for value in values:
        producer.produce(chosen.kafka.topic, value)
    producer.flush()


def ids(lake: Lake) -> list[str]:
    return sorted(row["event_id"] for row in lake.read(EVENTS).select("event_id").collect())


def rejected(lake: Lake) -> list[bytes]:
    return sorted(bytes(row["value"]) for row in lake.read(REJECTED_EVENTS).select("value").collect())


def drain(lake: Lake, chosen: Settings, now: datetime) -> ingest.Result:
    with closing(KafkaReader(chosen.kafka)) as reader:
        return ingest.run(lake, reader, chosen.eventlog_path, lambda: now)


def test_stream_and_ingest_hand_over_to_each_other(
    lake: Lake, chosen: Settings, move: Callable[[datetime], list[stream.Moved]]
) -> None:
    append(chosen, event("e1"), event("e2"), event("e1", timestamp="2026-01-10T05:09:00Z"))
    produce(chosen, b"nonsense")
    (first,) = move(NOW)
    assert (first.read, first.new, first.rejected, first.dropped) == (3, 2, 1, 0)
    assert (ids(lake), rejected(lake)) == (["e1", "e2"], [b"nonsense"])
    (row,) = lake.read(EVENTS).where("event_id = 'e1'").collect()
    assert (row["context"]["page"], row["timestamp"].minute, row["hour"]) == (None, 9, 5)
    assert log_state.watermark(chosen.eventlog_path, Hour.of(NOW)) == int(NOW.timestamp()) - 60

    append(chosen, event("e3"))
    drained = drain(lake, chosen, NOW)
    assert (drained.read, drained.new) == (1, 1)
    append(chosen, event("e4"), event("e2"))
    (second,) = move(NOW)
    assert (second.read, second.new, second.rejected) == (2, 1, 0)
    assert ids(lake) == ["e1", "e2", "e3", "e4"]


def test_what_ingest_moved_while_a_micro_batch_waited_is_not_moved_again(lake: Lake, chosen: Settings) -> None:
    folder, moved, stop = chosen.eventlog_path, list[stream.Moved](), threading.Event()
    append(chosen, event("e1"))
    with log_state.alone(folder):
        reader = KafkaReader(chosen.kafka)
        query = threading.Thread(
            target=stream.run, args=(lake, reader, chosen, lambda: NOW, moved.append, stop), daemon=True
        )
        query.start()
        wait(lambda: any((folder / stream.CHECKPOINT / "offsets").glob("0")))  # it is planned, and waits for the lock
        assert log_state.stream_runs(folder)
        with pytest.raises(log_state.Busy):
            stream.run(lake, reader, chosen, lambda: NOW, moved.append, stop)
        state = log_state.LogState.load(folder)
        state.offsets = {reader.describe().part(part): end for part, (_, end) in reader.bounds([0, 1]).items()}
        state.save(folder)  # as an ingest that holds the lock leaves it
    append(chosen, event("e2"))
    wait(lambda: bool(moved))
    stop.set()
    query.join()
    assert [(each.read, each.new) for each in moved] == [(1, 1)]
    assert ids(lake) == ["e2"]
    assert not log_state.stream_runs(folder)


@contextmanager
def running(chosen: Settings) -> Iterator[subprocess.Popen[str]]:
    """`topshelf stream` in a process of its own, whose Java is one of its own, too."""
    home = chosen.home
    home.mkdir(parents=True, exist_ok=True)
    kept = {"spark", "eventlog", "kafka", "stream", "tracking"}
    (home / "settings.yaml").write_text(chosen.model_dump_json(include=kept))
    command = [sys.executable, "-m", "cli.main", "stream", "--json"]
    env = {**os.environ, "TOPSHELF_HOME": str(home)}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait(met: Callable[[], bool], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.002)


SIZE = 40
"""Records of a micro-batch, at most, where processes are killed amid many."""
Moment = Callable[[log_state.LogState], bool]
"""Of the record: whether to kill now."""


def amid(commit: int) -> Moment:
    return lambda state: state.open and state.commits >= commit


def after(commit: int) -> Moment:
    return lambda state: state.commits >= commit and not state.open


def check(
    lake: Lake, chosen: Settings, events: int, kills: Sequence[tuple[Moment, float]], last: Moment | None = None
) -> None:
    """All events once and all else once, after kills so many seconds after each moment.

    last: when to end one more process in an orderly way.
    """
    names, nonsense = [f"e{number:04d}" for number in range(events)], sorted(b"nonsense %d" % n for n in range(20))
    append(chosen, *map(event, names), *map(event, names[:SIZE]))
    produce(chosen, *nonsense)
    small = chosen.model_copy(update={"stream": chosen.stream.model_copy(update={"records": SIZE})})

    def reached(moment: Moment) -> bool:
        assert process.poll() is None
        return moment(log_state.LogState.load(chosen.eventlog_path))

    for moment, seconds in kills:
        with running(small) as process:
            wait(lambda now=moment: reached(now))  # type: ignore[misc]
            time.sleep(seconds)
            process.kill()
    if last is not None:
        with running(small) as process:
            wait(lambda: reached(last))
            process.terminate()
            assert process.wait(600) == 0
        assert not log_state.LogState.load(chosen.eventlog_path).open
    # At once, while the Java of the last one may still be there.
    whole = drain(lake, chosen, datetime.now(UTC))
    assert (ids(lake), rejected(lake)) == (names, nonsense)
    assert 0 < whole.new < events  # both had their part
    assert drain(lake, chosen, datetime.now(UTC)).read == 0


@pytest.mark.timeout(900)
def test_kills_amid_a_commit_and_after_it_lose_nothing_and_repeat_nothing(lake: Lake, chosen: Settings) -> None:
    # The second process begins with the number that shuts out the first, 2.
    check(lake, chosen, 300, [(amid(1), 0), (after(3), 0.2)])


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_kills_at_any_moment_lose_nothing_and_repeat_nothing(lake: Lake, chosen: Settings) -> None:
    chance = random.Random(7)
    kinds = [amid, after]
    kills = [(kinds[number % 2](3 * number + 1), chance.uniform(0, 2)) for number in range(12)]
    check(lake, chosen, 8000, kills, after(60))
