"""One process's connection to a CQL cluster: made in the background, waited for only as long as a caller can."""

from __future__ import annotations

import atexit
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cassandra import ConsistencyLevel, OperationTimedOut

from conf.settings import Scylla
from stores.base import StoreTimeout, StoreUnavailable, Timeouts
from stores.cql_driver import check_datacenter, make_cluster, quieten_driver, wait_for_reactor
from stores.cql_errors import DRIVER_ERRORS, place, remedy, store_error

BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.05, 5.0

T = TypeVar("T")
_alive: set[CqlClient] = set()
"""This process's that are connected."""
_of_parents: list[CqlClient] = []
"""Keeps a parent's clients from being collected in a forked child: the driver would end them there, and wait for locks
that threads of the parent held."""


@dataclass(frozen=True)
class Statement:
    """A request to prepare. All are idempotent or, with `serial`, lightweight transactions."""

    text: str
    """`{keyspace}` stands for the keyspace."""
    consistency: int = ConsistencyLevel.LOCAL_ONE
    serial: int | None = None


def backoff(tries: int) -> float:
    """Seconds before try number `tries` + 2: random, so that many who were turned away do not return together."""
    longest = min(BACKOFF_SECONDS * 2**tries, LONGEST_BACKOFF_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311  # no secret


class Awaited(Generic[T]):
    """Something slow that a thread of its own makes, once; made anew after a failure.

    Callers wait each for as long as they can. What is not ready then is still being made, and there for a later one.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._future: Future[T] | None = None

    def get(self, seconds: float) -> T:
        """Raises what making it raised.

        Raises:
            TimeoutError: it is not ready yet.
        """
        future = self._future
        if future is None or (future.done() and future.exception() is not None):
            with self._lock:
                if self._future is future:
                    self._future = Future()
                    threading.Thread(target=self._run, args=(self._future,), name="cql", daemon=True).start()
                future = self._future
        assert future is not None
        return future.result(max(seconds, 0))

    def _run(self, future: Future[T]) -> None:
        try:
            future.set_result(self._make())
        except BaseException as error:  # whoever waits raises it
            future.set_exception(error)


class CqlClient:
    """Thread-safe; belongs to the process that made it. Every error is one of stores/base.py or a ConfigError."""

    def __init__(self, settings: Scylla, timeouts: Timeouts, sleep: Callable[[float], None] = time.sleep) -> None:
        self.settings = settings
        self.timeouts = timeouts
        self.cluster: Any = None
        """The driver's; None before the first connection."""
        self._sleep = sleep
        self._lock = threading.Lock()
        self._closed = False
        self._session: Awaited[Any] = Awaited(self._connect)
        self._prepared: dict[Statement, Awaited[Any]] = {}

    def session(self) -> Any:
        """The driver's session.

        Raises:
            StoreTimeout: there is none after `connect` seconds; connecting goes on.
        """
        return self._wait(self._session, self.timeouts.connect)

    def prepared(self, statement: Statement) -> Any:
        """The driver's prepared statement, after at most `connect` seconds, those for the session among them."""
        deadline = time.monotonic() + self.timeouts.connect
        session = self.session()
        with self._lock:
            awaited = self._prepared.get(statement)
            if awaited is None:
                awaited = self._prepared[statement] = Awaited(lambda: self._prepare(session, statement))
        return self._wait(awaited, deadline - time.monotonic())

    def execute(self, statement: Statement, *values: Any) -> list[tuple[Any, ...]]:
        """Rows; tried once, within `connect` + `read` seconds."""
        prepared = self.prepared(statement)
        with self._typed():
            return list(_answer(self.send(prepared, values), self.timeouts.read))

    def send(self, prepared: Any, values: tuple[Any, ...]) -> Any:
        """The driver's future of a request, which has no time-out of its own.

        A node that stays silent is found out by its connection's heartbeat, which ends what was sent to it.
        """
        return self.session().execute_async(prepared, values, timeout=None)

    def repeat(self, statement: Statement, *values: Any) -> list[tuple[Any, ...]]:
        """As `execute`, tried again as often as the time-outs allow; for what may be done twice."""
        self.prepared(statement)  # a cluster that cannot be reached is not asked again
        for tries in range(self.timeouts.retries):
            try:
                return self.execute(statement, *values)
            except StoreUnavailable:
                self.pause(tries)
        return self.execute(statement, *values)

    def pause(self, tries: int) -> None:
        """Wait before the next of a call's tries, after `tries` + 1 failed."""
        self._sleep(backoff(tries))

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of what is not worth preparing; `%s` stands for a value."""
        session = self.session()
        with self._typed():
            return list(_answer(session.execute_async(text, values or None, timeout=None), self.timeouts.read))

    def define(self, text: str, seconds: float) -> None:
        """Change the schema, and wait until all nodes know.

        Raises:
            StoreUnavailable: they do not agree on it yet.
        """
        session = self.session()
        with self._typed():
            future = session.execute_async(text, timeout=None)
            _answer(future, seconds)
        if not future.is_schema_agreed:
            raise StoreUnavailable(
                f"the nodes of {place(self.settings)} do not agree on their tables yet: try again in a minute"
            )

    @contextmanager
    def _typed(self) -> Iterator[None]:
        """What the driver raises inside comes out typed."""
        try:
            yield
        except DRIVER_ERRORS as error:
            raise store_error(error, self.settings) from error

    def close(self) -> None:
        """End all connections; for good, and also those that are still being made."""
        with self._lock:
            self._closed = True
            cluster = self.cluster
        if cluster is not None:
            cluster.shutdown()
        _alive.discard(self)

    def _wait(self, awaited: Awaited[T], seconds: float) -> T:
        try:
            return awaited.get(seconds)
        except TimeoutError:
            raise StoreTimeout(
                f"no connection to the CQL store at {place(self.settings)} within {self.timeouts.connect:g} s: "
                f"{remedy(self.settings)}"
            ) from None

    def _connect(self) -> Any:
        quieten_driver()
        with self._typed():
            cluster = make_cluster(self.settings, self.timeouts)
            try:
                session = cluster.connect()
            except BaseException:
                cluster.shutdown()
                check_datacenter(self.settings, cluster)
                raise
        with self._lock:
            self.cluster = cluster
            if not self._closed:
                _alive.add(self)
                return session
        cluster.shutdown()
        raise StoreUnavailable("the store was closed while it connected")

    def _prepare(self, session: Any, statement: Statement) -> Any:
        with self._typed():
            prepared = session.prepare(statement.text.format(keyspace=self.settings.keyspace))
        prepared.consistency_level = statement.consistency
        prepared.serial_consistency_level = statement.serial
        prepared.is_idempotent = statement.serial is None
        return prepared


def _answer(future: Any, seconds: float) -> Any:
    """Rows of a driver's future."""
    ready = threading.Event()
    future.add_callbacks(lambda _: ready.set(), lambda _: ready.set())
    if not ready.wait(seconds):
        raise OperationTimedOut(timeout=seconds)
    return future.result()


def _leave_to_parent() -> None:
    _of_parents.extend(_alive)
    _alive.clear()


def _end_all() -> None:
    for client in list(_alive):
        client.close()
    wait_for_reactor()


os.register_at_fork(after_in_child=_leave_to_parent)
atexit.register(_end_all)
