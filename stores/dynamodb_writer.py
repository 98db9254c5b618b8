"""Rows on their way to DynamoDB: batches in a small pool of threads, one chunk sent while the next is made ready."""

from __future__ import annotations

import json
import threading
from binascii import b2a_base64
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from stores.base import RING, Rejected, Row, StoreThrottled, StoreUnavailable, WriteReport, row_problem
from stores.control import Control
from stores.dynamodb_client import DynamoClient, Refused, backoff
from stores.pace import Pace

BATCH_ROWS = 25
"""What one BatchWriteItem takes."""
CHUNK_ROWS = 500
MAX_THREADS = 16
"""More would wait for one another: Python makes and reads the requests of one at a time."""
LEASE_SECONDS = 2.0
"""What a busy table holds up is not sent on the word of an older look at the control record."""
PATIENCE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 1.0
NAMES_BYTES = 3
"""Of the attributes u, k and b."""

Key = tuple[str, int]
"""user_id and `k`."""


@dataclass
class Outcome:
    """Of one batch."""

    refused: dict[Key, str] = field(default_factory=dict)
    """Why DynamoDB would not have a row."""
    units: float = 0
    throttled: int = 0
    erased: set[Key] = field(default_factory=set)
    """Rows that waited until their users were forgotten."""


@dataclass
class Chunk:
    rows: dict[Key, Row]
    sending: list[Future[Outcome]]


class Writer:
    """One call of `DynamoStore.write`."""

    def __init__(
        self,
        client: DynamoClient,
        pace: Pace,
        held: Callable[[], Control],
        rows_in_flight: int,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """held: the control record; raises LeaseLost when its lease is no longer this writer's."""
        self._client = client
        self._pace = pace
        self._held = held
        self._clock = clock
        self._sleep = sleep
        self._batch_rows = min(BATCH_ROWS, rows_in_flight)
        self._threads = min(MAX_THREADS, rows_in_flight // self._batch_rows)
        self._record: Control | None = None
        self._record_seen = 0.0
        self._stop = threading.Event()
        self._refused_since: float | None = None
        self._given = self._bytes = self._throttled = self._erased = 0
        self._units = 0.0
        self._rejected: list[Rejected] = []

    def write(self, rows: Iterable[Row]) -> WriteReport:
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="dynamodb")
        sending: deque[Chunk] = deque()
        pending = iter(rows)
        try:
            while chunk := list(islice(pending, CHUNK_ROWS)):
                while len(sending) > 1:
                    self._settle(sending.popleft())
                self._look_at_record()
                good = self._sift(chunk)
                # Batches overtake one another: the same key may not be on its way twice, or the older row could win.
                while any(not good.keys().isdisjoint(earlier.rows) for earlier in sending):
                    self._settle(sending.popleft())
                sending.append(Chunk(good, [pool.submit(self._send, batch) for batch in self._batches(good)]))
            while sending:
                self._settle(sending.popleft())
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
        written = self._given - len(self._rejected) - self._erased
        return WriteReport(written, tuple(self._rejected), self._bytes, self._units, self._throttled, self._erased)

    def _sift(self, chunk: list[Row]) -> dict[Key, Row]:
        """The rows that can be stored: of several with one key the last, all of which count as written."""
        good: dict[Key, Row] = {}
        for row in chunk:
            problem = row_problem(row)
            if problem is None:
                if self._bars(row.user_id):
                    self._erased += 1
                else:
                    good[key_of(row)] = row
            else:
                self._rejected.append(Rejected(row.user_id, row.variant, problem))
        self._given += len(chunk)
        return good

    def _batches(self, good: dict[Key, Row]) -> list[list[Row]]:
        rows = list(good.values())
        return [rows[start : start + self._batch_rows] for start in range(0, len(rows), self._batch_rows)]

    def _look_at_record(self) -> None:
        now = self._clock()
        self._record = self._held()
        self._record_seen = now

    def _bars(self, user_id: str) -> bool:
        return self._record is not None and self._record.bars(user_id)

    def _settle(self, chunk: Chunk) -> None:
        """Wait for a chunk and count it; raises what stopped it."""
        refused: dict[Key, str] = {}
        erased: set[Key] = set()
        for future in chunk.sending:
            outcome = future.result()
            refused |= outcome.refused
            self._units += outcome.units
            self._throttled += outcome.throttled
            erased |= outcome.erased
        self._erased += len(erased)
        for key, row in chunk.rows.items():
            if key in erased:
                continue
            if key in refused:
                self._rejected.append(Rejected(row.user_id, row.variant, refused[key]))
            else:
                self._bytes += item_bytes(row)

    def _send(self, rows: list[Row]) -> Outcome:
        outcome = Outcome()
        try:
            self._put({key_of(row): put_request(row) for row in rows}, outcome)
        except BaseException:
            # Others may be waiting for a busy table, which would keep the writer from hearing of this.
            self._stop.set()
            raise
        return outcome

    def _put(self, requests: dict[Key, bytes], outcome: Outcome) -> None:
        """Give the requests until they are all taken, or another batch has failed for good."""
        refusals = failures = 0
        while requests and not self._stop.is_set():
            # A row is one unit at most, so that nobody has to wait for the answer to know what it will cost.
            self._pace.take(len(requests))
            if self._clock() - self._record_seen > LEASE_SECONDS:
                self._look_at_record()
            gone = {key for key in requests if self._bars(key[0])}
            if gone:
                outcome.erased |= gone
                requests = {key: request for key, request in requests.items() if key not in gone}
                continue
            try:
                left = self._give(requests, outcome)
            except Refused as error:
                self._give_singly(requests, outcome, error.reason)
                return
            except StoreThrottled:
                left = requests
            except StoreUnavailable:
                if failures == self._client.retries:
                    raise
                self._sleep(backoff(failures))
                failures += 1
                continue
            taken = len(requests) - len(left)
            if taken:
                self._pace.succeeded(taken)
                self._refused_since = None
                refusals = failures = 0
            if left:
                outcome.throttled += 1
                self._pace.throttled(len(left) / len(requests))
                self._wait(refusals)
                refusals += 1
            requests = left

    def _give(self, requests: dict[Key, bytes], outcome: Outcome) -> dict[Key, bytes]:
        """Those of the requests that the table did not take."""
        table = self._client.table
        answer = self._client.write_batch(
            b'{"RequestItems":{%b:[%b]},"ReturnConsumedCapacity":"TOTAL"}'
            % (json.dumps(table).encode(), b",".join(requests.values()))
        )
        outcome.units += sum(each["CapacityUnits"] for each in answer.get("ConsumedCapacity", ()))
        left = (each["PutRequest"]["Item"] for each in answer.get("UnprocessedItems", {}).get(table, ()))
        return {key: requests[key] for key in ((item["u"]["S"], int(item["k"]["N"])) for item in left)}

    def _give_singly(self, requests: dict[Key, bytes], outcome: Outcome, reason: str) -> None:
        """One bad row makes DynamoDB refuse its whole batch: each is given alone, and the bad one is rejected."""
        if len(requests) == 1:
            outcome.refused |= dict.fromkeys(requests, reason)
            return
        for key, request in requests.items():
            self._put({key: request}, outcome)

    def _wait(self, refusals: int) -> None:
        now, since = self._clock(), self._refused_since
        if since is None:
            self._refused_since = now
        elif now - since >= PATIENCE_SECONDS:
            raise StoreThrottled(
                f"DynamoDB {self._client.where} was too busy to take any row for {now - since:.0f} s: "
                "give it more write units, or try again when others write less"
            )
        # The pace sees to the rate; the pause is only for not returning together.
        self._sleep(backoff(refusals, LONGEST_PAUSE_SECONDS))


def key_of(row: Row) -> Key:
    return row.user_id, row.variant * RING + row.position


def item_bytes(row: Row) -> int:
    """Size of an item as DynamoDB counts it, names included; the number 0 takes one byte, up to 99 two."""
    number = 2 if row.variant or row.position else 1
    return len(row.user_id.encode()) + len(row.blob) + NAMES_BYTES + number


def put_request(row: Row) -> bytes:
    """A row in DynamoDB's JSON, as one of the requests of a BatchWriteItem."""
    user_id, k = key_of(row)
    blob = b2a_base64(row.blob, newline=False)
    return b'{"PutRequest":{"Item":{"u":{"S":%b},"k":{"N":"%d"},"b":{"B":"%b"}}}}' % (
        json.dumps(user_id).encode(),
        k,
        blob,
    )
