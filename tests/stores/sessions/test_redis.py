"""Redis in trouble: how soon it is known, and that it heals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from conf.event_settings import Redis
from conf.settings import Settings
from stores.base import StoreDenied, StoreFull, StoreTimeout, StoreUnavailable
from stores.sessions.base import SessionEvent
from stores.sessions.redis import RedisSessions
from tests.services.servers import PrivateRedis

WATCH = SessionEvent(1, "watch", 10.0)
READ_MS = 100


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrivateRedis]:
    with PrivateRedis(tmp_path) as server:
        yield server


@pytest.fixture
def chosen(server: PrivateRedis, settings: Settings) -> Redis:
    return settings.redis.model_copy(update={"url": f"redis://127.0.0.1:{server.port}/0"})


@pytest.fixture
def sessions(chosen: Redis) -> Iterator[RedisSessions]:
    with closing(RedisSessions(chosen, READ_MS)) as sessions:
        yield sessions


def test_a_redis_that_hangs_is_late_and_one_that_is_gone_is_unavailable(
    server: PrivateRedis, sessions: RedisSessions
) -> None:
    sessions.apply("ann", [WATCH])
    os.kill(server.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(StoreTimeout):
        sessions.read("ann")
    assert 0.09 < time.monotonic() - began < 0.5
    os.kill(server.pid, signal.SIGCONT)
    # The late answer is not taken for that of the next question.
    assert sessions.read("bob") == ()
    assert sessions.read("ann") == (WATCH,)
    server.kill()
    for _ in range(2):
        with pytest.raises(StoreUnavailable) as gone:
            sessions.apply("ann", [WATCH])
        assert not isinstance(gone.value, StoreTimeout)
    server.start()
    assert sessions.apply("ann", [WATCH]) == 1


def test_a_full_redis_says_so_and_still_answers(server: PrivateRedis, sessions: RedisSessions) -> None:
    sessions.apply("ann", [WATCH])
    with closing(redis.Redis(port=server.port)) as bare:
        bare.config_set("maxmemory", 1)
    with pytest.raises(StoreFull, match="raise its maxmemory"):
        sessions.apply("ann", [SessionEvent(2, "watch", 11.0)])
    assert sessions.read("ann") == (WATCH,)


def test_a_wrong_password_is_told_and_not_shown(chosen: Redis) -> None:
    with (
        closing(RedisSessions(chosen.model_copy(update={"password": "hunter2"}), READ_MS)) as sessions,
        pytest.raises(StoreDenied, match=r"redis\.username") as denied,
    ):
        sessions.read("ann")
    assert "hunter2" not in str(denied.value)


def test_a_child_has_a_connection_of_its_own(sessions: RedisSessions) -> None:
    sessions.apply("ann", [WATCH])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if sessions.apply("ann", [SessionEvent(2, "watch", 11.0)]) == 2 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert [event.item_no for event in sessions.read("ann")] == [2, 1]
