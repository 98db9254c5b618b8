"""Sessions in Redis, for any number of machines.

A user's session is one string under `redis.prefix` + user id, packed as in the embedded store and changed by one
script, so that a reader sees all of an `apply` or nothing of it. How long an event outlives Redis itself is up to its
persistence and its `maxmemory-policy`, which must not evict: docs/events.md. The event log has it in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis import exceptions as errors
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from conf.event_settings import Redis as RedisSettings
from stores.base import StoreDenied, StoreFull, StoreTimeout, StoreUnavailable
from stores.per_process import PerProcess
from stores.sessions import packing
from stores.sessions.base import SessionEvent, Sessions

_MERGE, _TRIM = (Path(__file__).with_name(f"{name}.lua").read_text() for name in ("merge", "trim"))
_HIDING = "".join(map(str, sorted(packing.HIDING)))


@dataclass(frozen=True)
class _Client:
    reading: Redis
    writing: Redis
    merge: Script
    trim: Script

    def close(self) -> None:
        self.reading.close()
        self.writing.close()


class RedisSessions(Sessions):
    """See `stores.sessions.base.Sessions`. It waits as long as the settings say and never tries twice."""

    def __init__(self, settings: RedisSettings, read_ms: int) -> None:
        """read_ms: how long a read waits for its answer."""
        self._settings = settings
        self._read_ms = read_ms
        self._client = PerProcess(self._connect, lambda client: client.close())

    def apply(self, user_id: str, events: Sequence[SessionEvent]) -> int:
        arguments: list[bytes | str | int] = [packing.pack(events), _HIDING, *packing.limits()]
        return int(self._ask(lambda client: client.merge(keys=[self._key(user_id)], args=arguments)))

    def trim(self, user_id: str, passed: float) -> None:
        self._ask(lambda client: client.trim(keys=[self._key(user_id)], args=[repr(passed)]))

    def read(self, user_id: str) -> tuple[SessionEvent, ...]:
        packed = self._ask(lambda client: client.reading.get(self._key(user_id)))
        return () if packed is None else packing.unpack(packed)

    def forget(self, user_id: str) -> None:
        self._ask(lambda client: client.writing.delete(self._key(user_id)))

    def scrub(self) -> str:
        return "snapshots and append-only files of Redis drop it when they are next written: BGREWRITEAOF, BGSAVE"

    def close(self) -> None:
        self._client.close()

    def _key(self, user_id: str) -> str:
        return self._settings.prefix + user_id

    def _connect(self) -> _Client:
        reading, writing = self._open(self._read_ms), self._open(self._settings.write_ms)
        return _Client(reading, writing, writing.register_script(_MERGE), writing.register_script(_TRIM))

    def _open(self, answer_ms: int) -> Redis:
        settings = self._settings
        return Redis.from_url(
            settings.url,
            username=settings.username,
            password=settings.password,
            socket_connect_timeout=settings.connect_ms / 1000,
            socket_timeout=answer_ms / 1000,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # the newer one costs a new connection two more round trips, and nothing here needs it
            driver_info=None,
        )

    def _ask(self, question: Callable[[_Client], Any]) -> Any:
        try:
            return question(self._client.get())
        except errors.TimeoutError as error:
            raise StoreTimeout(
                f"the session store {self._settings.url} did not answer within the time: {error}"
            ) from error
        except (errors.AuthenticationError, errors.NoPermissionError) as error:
            raise StoreDenied(
                f"the session store {self._settings.url} refuses: {error}; see redis.username and redis.password"
            ) from error
        except errors.OutOfMemoryError as error:
            raise StoreFull(f"the session store {self._settings.url} is full: raise its maxmemory") from error
        except (errors.RedisError, OSError) as error:
            raise StoreUnavailable(f"the session store {self._settings.url} failed: {error}") from error
