"""Rows on their way to a CQL cluster: single-row requests in a sliding window that gives way to a busy cluster."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from conf.errors import RetryableError
from stores.base import RING, Rejected, Row, StoreThrottled, StoreTimeout, StoreUnavailable, WriteReport, row_problem
from stores.control import Control
from stores.cql_client import CqlClient, Statement, backoff
from stores.cql_errors import DRIVER_ERRORS, Refused, asks_to_slow_down, place, reason_of, store_error

LEASE_ROWS = 500
LEASE_SECONDS = 2.0
"""The control record is read again after so many rows, or so long: slow iterators and busy clusters stretch a batch."""
ABANDON_SECONDS = 5.0
"""At most, that a failed write waits for what it has on its way: none of it should arrive once the error is out."""
SLOT_BYTES = 1
_BURST = 8
"""The window is filled again once an eighth of it is free: each change of threads costs time."""
_GROWTH = 16
"""A window of successes widens it by a sixteenth of the widest."""


@dataclass(order=True, slots=True)
class Sent:
    """A row on its way, or waiting for its next try."""

    due: float
    """When a row that waits is to be sent again."""
    number: int
    """Of its latest request; they rise."""
    row: Row
    tries: int


class Writer:
    """One call of `ScyllaStore.write`. The driver's thread only notes how each request ended."""

    def __init__(
        self,
        client: CqlClient,
        insert: Statement,
        lease: int,
        held: Callable[[], Control],
        check_tables: Callable[[], None],
        rows_in_flight: int,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """held: the control record; raises LeaseLost when its lease is no longer this writer's.

        check_tables: raises when a table is missing, for which the server refuses every row.
        patience: seconds of waiting in which no row gets through, after which the cluster counts as gone.
        """
        self._client = client
        self._insert = insert
        self._prepared: Any = None
        self._lease = lease
        self._held = held
        self._record: Control | None = None
        self._check_tables = check_tables
        self._patience = patience
        self._clock = clock
        self._widest = self._window = rows_in_flight
        self._credit = self._narrowed_at = self._number = self._in_flight = 0
        self._waiting: list[Sent] = []
        self._done: deque[tuple[Sent, Exception | None]] = deque()
        self._goal = 1
        self._wake = threading.Event()
        self._lease_rows, self._lease_seen = 0, 0.0
        self._stalled = 0.0
        self._trouble: Exception | None = None
        self._written = self._bytes = self._throttled = self._erased = 0
        self._rejected: list[Rejected] = []
        self._refused = False
        """Whether the server refused a row, and its tables were found to be there."""

    def write(self, rows: Iterable[Row]) -> WriteReport:
        self._prepared = self._client.prepared(self._insert)
        try:
            for row in rows:
                problem = row_problem(row)
                if problem is None:
                    self._make_room()
                    self._send(Sent(0, 0, row, 0))
                else:
                    self._rejected.append(Rejected(row.user_id, row.variant, problem))
            while self._taken:
                self._wait(self._in_flight)
        except BaseException:
            self._abandon()
            raise
        return WriteReport(
            self._written, tuple(self._rejected), self._bytes, throttled=self._throttled, erased=self._erased
        )

    @property
    def _taken(self) -> int:
        return self._in_flight + len(self._waiting)

    def _make_room(self) -> None:
        """Return when one more row may be sent. Rows that wait for another try go first."""
        self._settle()
        if self._taken >= self._window:
            while (excess := self._taken - self._window + max(1, self._window // _BURST)) > 0:
                self._wait(excess)

    def _wait(self, goal: int) -> None:
        """Wait until `goal` requests have ended well, one has failed, or a row is due again.

        Raises:
            StoreThrottled, StoreTimeout, StoreUnavailable: no row has got through for too long.
        """
        now = self._clock()
        left = self._patience - self._stalled
        if left <= 0:
            raise self._gave_up()
        if self._waiting:
            goal = 1
            if self._in_flight < self._window:
                left = min(left, self._waiting[0].due - now)
        self._goal = max(goal, 1)
        if len(self._done) < self._goal and left > 0:
            self._wake.wait(left)
        self._wake.clear()
        self._stalled += self._clock() - now
        self._settle()

    def _send(self, sent: Sent) -> None:
        now = self._clock()
        if self._lease_rows == 0 or now - self._lease_seen > LEASE_SECONDS:
            self._look_at_record()
            self._lease_rows, self._lease_seen = LEASE_ROWS, now
        self._lease_rows -= 1
        if self._record is not None and self._record.bars(sent.row.user_id):
            self._erased += 1
            return
        self._number += 1
        sent.number = self._number
        row = sent.row
        values = (row.user_id, row.variant * RING + row.position, row.blob, self._lease)
        future = self._client.send(self._prepared, values)
        self._in_flight += 1
        future.add_callbacks(self._ended_well, self._failed, (sent,), errback_args=(sent,))

    def _look_at_record(self) -> None:
        tries = 0
        while True:
            begin = self._clock()
            try:
                self._record = self._held()
                return
            except StoreUnavailable:
                if self._stalled >= self._patience:
                    raise
                self._client.pause(tries)
                tries += 1
                self._stalled += self._clock() - begin

    def _ended_well(self, _: object, sent: Sent) -> None:
        self._done.append((sent, None))
        if len(self._done) >= self._goal:
            self._wake.set()

    def _failed(self, error: Exception, sent: Sent) -> None:
        self._done.append((sent, error))
        self._wake.set()

    def _settle(self) -> None:
        """Count what has ended, and send again what is due."""
        while self._done:
            sent, error = self._done.popleft()
            self._in_flight -= 1
            if error is None:
                self._count(sent.row)
            else:
                self._handle(sent, error)
        while self._waiting and self._in_flight < self._window and self._waiting[0].due <= self._clock():
            self._send(heapq.heappop(self._waiting))

    def _count(self, row: Row) -> None:
        self._stalled = 0
        self._written += 1
        self._bytes += len(row.user_id.encode()) + SLOT_BYTES + len(row.blob)
        self._credit += 1
        if self._credit >= self._window:
            self._credit = 0
            self._window = min(self._widest, self._window + max(1, self._widest // _GROWTH))

    def _handle(self, sent: Sent, error: Exception) -> None:
        if not isinstance(error, DRIVER_ERRORS):
            raise error
        typed = store_error(error, self._client.settings)
        if isinstance(typed, Refused):
            if not self._refused:
                self._check_tables()
            self._refused = True
            self._stalled = 0
            self._rejected.append(Rejected(sent.row.user_id, sent.row.variant, reason_of(error)))
        elif isinstance(typed, RetryableError):
            self._throttled += 1
            self._trouble = error
            self._narrow(sent)
            sent.due = self._clock() + backoff(sent.tries)
            sent.tries += 1
            heapq.heappush(self._waiting, sent)
        else:
            raise typed from error

    def _narrow(self, sent: Sent) -> None:
        """Once for all that was sent before the last time: their answers say nothing of the narrower window."""
        if sent.number > self._narrowed_at:
            self._narrowed_at = self._number
            self._window = max(1, self._window // 2)
            self._credit = 0

    def _gave_up(self) -> StoreUnavailable:
        where = f"the CQL store at {place(self._client.settings)} took no row for {self._patience:g} s"
        if self._trouble is None:
            return StoreTimeout(f"{where} and gave no answer")
        if asks_to_slow_down(self._trouble):
            return StoreThrottled(f"{where}, being overloaded: try again later, or add nodes")
        return StoreUnavailable(f"{where}: {store_error(self._trouble, self._client.settings)}")

    def _abandon(self) -> None:
        deadline = self._clock() + min(ABANDON_SECONDS, self._patience)
        while self._in_flight > len(self._done) and (left := deadline - self._clock()) > 0:
            self._goal = self._in_flight
            self._wake.clear()
            if len(self._done) < self._goal:
                self._wake.wait(left)
