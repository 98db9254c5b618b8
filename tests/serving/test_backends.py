"""The real service, gunicorn with two workers, over a real Redis and a real Kafka."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPException

import pytest

from serving.local import serve_once
from stores.opening import open_eventlog_reader, open_store
from tests.services.servers import PrivateRedis
from tests.services.stores import eventlog_settings
from tests.serving.test_local import EVENTS, HOME, event, everywhere, shown, until, workers


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with PrivateRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def running(request, tmp_path_factory, make_home, new_world, rules, redis):
    settings = eventlog_settings(request, make_home(tmp_path_factory.mktemp("backends")), "kafka")
    sessions = settings.sessions.model_copy(update={"kind": "redis"})
    # Two cores that test everything else at the same time are slower than a Redis of one's own.
    address = settings.redis.model_copy(update={"url": f"redis://127.0.0.1:{redis.port}/0", "write_ms": 2000})
    serving = settings.serving.model_copy(update={"workers": 2, "session_ms": 1000, "answer_ms": 2000})
    settings = settings.model_copy(update={"sessions": sessions, "redis": address, "serving": serving})
    with open_store(settings) as store:
        world = new_world(settings, store)
        world.publish({})
        with serve_once(settings, rules) as url:
            yield world, url


@pytest.fixture
def world(running):
    return running[0]


@pytest.fixture
def url(running):
    return running[1]


@pytest.fixture
def token(world) -> Callable[[str], str]:
    return lambda user: world.token(user, at=datetime.now(UTC))


def logged(world) -> set[str]:
    with closing(open_eventlog_reader(world.settings)) as reader:
        return {json.loads(found.value or b"")["event_id"] for batch in reader.read({}) for found in batch.records}


def test_events_of_one_worker_are_reflected_by_all(world, url, token, http):
    mine = token("eve")
    status, _, answer = http(url + EVENTS, mine, "POST", {"events": [event("m0"), event("m1", "not_interested")]})
    assert (status, [one["reflected"] for one in answer["events"]]) == (202, [True, True])
    assert not any({"m0", "m1"} & set(shown(page)) for page in everywhere(http, url + HOME, mine))
    assert {one["event_id"] for one in answer["events"]} <= logged(world)


def test_nothing_that_was_taken_is_lost_when_a_worker_is_killed(world, url, token, http):
    mine, taken, stop = token("kim"), [], threading.Event()

    def send():
        while not stop.is_set():
            try:
                status, _, answer = http(url + EVENTS, mine, "POST", event("m1", "click"))
            except (OSError, ValueError, HTTPException):
                continue  # its worker was killed before it answered: nothing was promised
            if status == 202:
                taken.append(answer["event_id"])

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    until(lambda: len(taken) > 5)
    before = workers(world)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(workers(world)) == 2 and workers(world) != before)
    count = len(taken)
    until(lambda: len(taken) > count + 5)
    stop.set()
    for sender in senders:
        sender.join()
    assert set(taken) <= logged(world)


def test_a_redis_that_dies_under_load_costs_freshness_and_no_answer(world, url, token, http, redis):
    mine, seen, stop = token("fay"), [], threading.Event()

    def read():
        while not stop.is_set():
            began = time.monotonic()
            status, _, answer = http(url + HOME, mine)
            seen.append((status, len(answer["recommendations"]), time.monotonic() - began))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        until(lambda: len(seen) > 10)
        redis.kill()
        status, _, answer = http(url + EVENTS, mine, "POST", event("m0"))
        assert (status, answer["reflected"]) == (202, False)
        count = len(seen)
        until(lambda: len(seen) > count + 20)
        redis.start()
        until(lambda: http(url + EVENTS, mine, "POST", event("m2"))[2]["reflected"])
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert {status for status, _, _ in seen} == {200}
    assert all(count > 0 for _, count, _ in seen)
    assert answer["event_id"] in logged(world)
    # A worker asks for no session until a moment after the last that failed.
    until(lambda: "m2" not in shown(http(url + HOME, mine)[2]))
