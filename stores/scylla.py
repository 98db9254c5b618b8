"""The store in ScyllaDB or any CQL peer, for any number of machines.

Keyspace `scylla.keyspace` has two tables: `lists`, one row a slot of a user's ring (slot = variant × 3 + position),
and `control`, whose one row changes by lightweight transactions only. Every write and delete of `lists` carries USING
TIMESTAMP generation, so that a late write of an earlier attempt loses by itself. Those timestamps are tiny beside a
clock's: one write with a clock's time would beat every generation for ever, so there is none.

Proven on Cassandra 5. What is ScyllaDB's own, a connection a shard and tablets, is left to its driver; a keyspace with
tablets has lightweight transactions only in newer versions of ScyllaDB, and `check` says so where they are missing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from cassandra import ConsistencyLevel

from conf.settings import Scylla
from stores.base import (
    MAX_USER_ID_BYTES,
    RING,
    ControlConflict,
    LeaseLost,
    Row,
    Store,
    StoreTimeout,
    StoreUnavailable,
    Timeouts,
    WriteReport,
)
from stores.control import Control
from stores.cql_client import CqlClient, Statement
from stores.cql_errors import Refused
from stores.cql_tables import check_tables, create_tables, require_tables
from stores.cql_writer import Writer
from stores.per_process import PerProcess

PATIENCE_SECONDS = 30.0
T = TypeVar("T")
_QUORUM, _SERIAL = ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.LOCAL_SERIAL
_FIRST = Statement(
    "INSERT INTO {keyspace}.control (name, version, record, mark) VALUES ('control', ?, ?, ?) IF NOT EXISTS",
    _QUORUM,
    _SERIAL,
)
_SWAP = Statement(
    "UPDATE {keyspace}.control SET version = ?, record = ?, mark = ? WHERE name = 'control' "
    "IF version = ? AND record = ?",
    _QUORUM,
    _SERIAL,
)
_CONTROL = Statement("SELECT record, mark FROM {keyspace}.control WHERE name = 'control'", _SERIAL)
"""Completes a change that was left half done. Local, as the changes are: a serial read of all data centres could miss
what those of one have agreed on."""
_LEASE = Statement("SELECT record FROM {keyspace}.control WHERE name = 'control'", _QUORUM)
"""A completed change is seen by every quorum. Serial reads of all writers at once would only hold up one another."""
_RING = Statement("SELECT slot, row FROM {keyspace}.lists WHERE user_id = ? AND slot >= ? AND slot < ?")
_COUNT = Statement("SELECT COUNT(*) FROM {keyspace}.lists", _QUORUM)


class ScyllaStore(Store):
    """See `stores.base.Store`. Of two different rows for one slot in one lease, the cluster keeps the larger."""

    def __init__(
        self, settings: Scylla, timeouts: Timeouts, rows_in_flight: int, patience: float = PATIENCE_SECONDS
    ) -> None:
        """rows_in_flight: row requests on their way at once, at most, in one `write`.

        patience: seconds in which not one row gets through, after which `write` fails.
        """
        self._settings = settings
        consistency = ConsistencyLevel.name_to_value[settings.consistency]
        self._insert = Statement(
            "INSERT INTO {keyspace}.lists (user_id, slot, row) VALUES (?, ?, ?) USING TIMESTAMP ?", consistency
        )
        self._delete = Statement("DELETE FROM {keyspace}.lists USING TIMESTAMP ? WHERE user_id = ?", consistency)
        self._retries = timeouts.retries
        self._rows_in_flight = rows_in_flight
        self._patience = patience
        self._client: PerProcess[CqlClient] = PerProcess(lambda: CqlClient(settings, timeouts), CqlClient.close)

    def create(self) -> None:
        create_tables(self._client.get())

    def check(self) -> str:
        return check_tables(self._client.get())

    def read_control(self) -> Control | None:
        record, _ = self._record()
        return None if record is None else Control.from_json(record)

    def swap_control(self, expected: Control | None, new: Control) -> None:
        after = 0 if expected is None else expected.version
        if new.version != after + 1:
            raise ValueError(f"the control record goes from version {after} to {after + 1}, not to {new.version}")
        before, _ = self._record()
        found = None if before is None else Control.from_json(before)
        if found != expected:
            raise ControlConflict(f"the control record is at version {found.version if found else 0}, expected {after}")
        # Two writers may want the very same record, so what tells whose it is has to be of this call alone.
        mark = uuid.uuid4().hex
        values = (new.version, new.to_json(), mark)
        if before is None:
            self._transact(mark, before, _FIRST, *values)
        else:
            self._transact(mark, before, _SWAP, *values, after, before)

    def write(self, rows: Iterable[Row], lease: int) -> WriteReport:
        client = self._client.get()
        writer = Writer(
            client,
            self._insert,
            lease,
            lambda: self._held(lease),
            lambda: require_tables(client),
            self._rows_in_flight,
            self._patience,
        )
        return self._explained(lambda: writer.write(rows))

    def ring(self, user_id: str, variant: int = 0) -> dict[int, bytes]:
        if not _may_have_rows(user_id):
            return {}
        first = variant * RING
        return {slot - first: row for slot, row in self._ask(_RING, user_id, first, first + RING)}

    def delete(self, user_id: str) -> None:
        if not _may_have_rows(user_id):
            return
        control = self.read_control()
        # Beats the rows of every attempt so far, one that is still writing among them, and none of a later attempt.
        self._ask(self._delete, 0 if control is None else control.attempts, user_id)

    def scrub(self) -> str:
        keyspace = self._settings.keyspace
        return (
            f"the nodes' files drop deleted rows when they are compacted; `nodetool garbagecollect {keyspace} "
            "lists` on each node has that done now, snapshots aside"
        )

    def count(self) -> int:
        return int(self._ask(_COUNT)[0][0])

    def close(self) -> None:
        self._client.close()

    def _transact(self, mark: str, before: str | None, statement: Statement, *values: Any) -> None:
        """Put a record in the place of `before`; a change whose answer was lost is found by its mark."""
        client = self._client.get()
        lost: StoreUnavailable | None = None
        for tries in range(self._retries + 1):
            try:
                applied = self._explained(lambda: client.execute(statement, *values))[0][0]
            except StoreUnavailable as error:
                lost = error
                client.pause(tries)
            else:
                if applied or (lost is not None and self._record()[1] == mark):
                    return
                raise ControlConflict("the control record was changed by another at the same moment")
        self._look_for(mark, before, lost)

    def _look_for(self, mark: str, before: str | None, lost: StoreUnavailable | None) -> None:
        try:
            record, found = self._record()
        except StoreUnavailable as error:
            raise StoreTimeout(
                f"whether the control record was changed is not known, read it before the next change: {error}"
            ) from error
        if found == mark:
            return
        if record == before:
            raise StoreTimeout(f"the control record was not changed, try again: {lost}") from lost
        raise ControlConflict("the control record was changed by another at the same moment") from lost

    def _record(self) -> tuple[str | None, str | None]:
        """The control record as text, and its mark; None for both where there is none."""
        rows = self._ask(_CONTROL)
        return rows[0] if rows else (None, None)

    def _held(self, lease: int) -> Control:
        """The control record, which says that the lease is still the writer's.

        One try: the writer that asks has a patience of its own.
        """
        client = self._client.get()
        rows = self._explained(lambda: client.execute(_LEASE))
        control = Control.from_json(rows[0][0]) if rows else None
        if control is None or control.lease != lease:
            holder = None if control is None else control.lease
            raise LeaseLost(f"attempt {lease} may not write: the lease is with {holder or 'nobody'}")
        return control

    def _ask(self, statement: Statement, *values: Any) -> list[tuple[Any, ...]]:
        client = self._client.get()
        return self._explained(lambda: client.repeat(statement, *values))

    def _explained(self, call: Callable[[], T]) -> T:
        """A request that is refused most often lacks its table."""
        try:
            return call()
        except Refused:
            require_tables(self._client.get())
            raise


def _may_have_rows(user_id: str) -> bool:
    """The server refuses to look for keys that it could not hold."""
    return 0 < len(user_id.encode()) <= MAX_USER_ID_BYTES
