"""The embedded store: LMDB in a folder, for one machine. Any number of processes may read and write.

A batch of rows is one transaction with one fsync: after a crash it is there whole or not at all. Reads take no
lock and see one moment of the store.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import lmdb

from stores.base import (
    RING,
    ControlConflict,
    LeaseLost,
    Rejected,
    Row,
    Store,
    StoreFull,
    StoreMissing,
    WriteReport,
    row_problem,
)
from stores.control import Control
from stores.lmdb_env import LmdbFolder, as_store_error

BATCH_ROWS = 10_000
MIN_FREE_BYTES = 64 << 20
"""With less room on the disk not even a few thousand lists would go in."""
_CONTROL, _ROWS, _KEY = b"control", b"rows", b"record"
_PLACES = tuple((place, bytes([place])) for place in range(RING))


class EmbeddedStore(Store):
    """See `stores.base.Store`. The folder is made by the first write; reading an absent one finds nothing."""

    def __init__(self, path: Path, map_size_gb: int) -> None:
        self._folder = LmdbFolder(path, map_size_gb, (_CONTROL, _ROWS))

    def create(self) -> None:
        self._folder.environment()

    def check(self) -> str:
        if not self._folder.exists():
            raise StoreMissing(f"there is no store in {self._folder.path} yet: `topshelf store create` makes it")
        rows, free = self.count(), shutil.disk_usage(self._folder.path).free
        if free < MIN_FREE_BYTES:
            raise StoreFull(f"the disk of {self._folder.path} has {free >> 20} MiB left: make room on it")
        return f"embedded store {self._folder.path}: {rows:,} rows, {free >> 30:,} GiB free on its disk"

    def read_control(self) -> Control | None:
        if not self._folder.exists():
            return None
        try:
            with self._begin(_CONTROL) as txn:
                return _control(txn)
        except lmdb.Error as error:
            raise as_store_error(error, self._folder.path) from error

    def swap_control(self, expected: Control | None, new: Control) -> None:
        after = 0 if expected is None else expected.version
        if new.version != after + 1:
            raise ValueError(f"the control record goes from version {after} to {after + 1}, not to {new.version}")
        try:
            with self._folder.writing(_CONTROL) as txn:
                found = _control(txn)
                if found != expected:
                    raise ControlConflict(
                        f"the control record is at version {found.version if found else 0}, expected {after}"
                    )
                txn.put(_KEY, new.to_json().encode())
        except lmdb.Error as error:
            raise as_store_error(error, self._folder.path) from error

    def write(self, rows: Iterable[Row], lease: int) -> WriteReport:
        written = size = erased = 0
        rejected: list[Rejected] = []
        pending = iter(rows)
        while batch := list(islice(pending, BATCH_ROWS)):
            good: list[Row] = []
            for row in batch:
                problem = row_problem(row)
                if problem is None:
                    good.append(row)
                else:
                    rejected.append(Rejected(row.user_id, row.variant, problem))
            put = self._put(good, lease)
            written += len(put)
            erased += len(good) - len(put)
            size += sum(len(key) + len(blob) for key, blob in put)
        return WriteReport(written, tuple(rejected), size, erased=erased)

    def ring(self, user_id: str, variant: int = 0) -> dict[int, bytes]:
        if not self._folder.exists():
            return {}
        try:
            with self._begin(_ROWS) as txn:
                prefix = _prefix(user_id) + bytes([variant])
                found = [(place, txn.get(prefix + key)) for place, key in _PLACES]
                return {place: blob for place, blob in found if blob is not None}
        except lmdb.Error as error:
            raise as_store_error(error, self._folder.path) from error

    def delete(self, user_id: str) -> None:
        if not self._folder.exists():
            return
        prefix = _prefix(user_id)
        try:
            with self._folder.writing(_ROWS) as txn:
                for key in list(_keys(txn, prefix)):
                    txn.delete(key)
        except lmdb.Error as error:
            raise as_store_error(error, self._folder.path) from error

    def scrub(self) -> str:
        if self._folder.exists():
            self._folder.compact()
        return ""

    def count(self) -> int:
        if not self._folder.exists():
            return 0
        try:
            with self._begin(_ROWS) as txn:
                return int(txn.stat(self._folder.database(_ROWS))["entries"])
        except lmdb.Error as error:
            raise as_store_error(error, self._folder.path) from error

    def close(self) -> None:
        self._folder.close()

    def _put(self, rows: list[Row], lease: int) -> list[tuple[bytes, bytes]]:
        """Keys and blobs of the rows that were written: those of users whom nobody has forgotten."""
        try:
            with self._folder.writing(_ROWS) as txn:
                found = txn.get(_KEY, db=self._folder.database(_CONTROL))
                control = Control.from_json(found) if found is not None else None
                if control is None or control.lease != lease:
                    holder = None if control is None else control.lease
                    raise LeaseLost(f"attempt {lease} may not write: the lease is with {holder or 'nobody'}")
                put = [
                    (_key(row.user_id, row.variant, row.position), row.blob)
                    for row in rows
                    if not control.bars(row.user_id)
                ]
                # In the order of their keys, so that pages fill one by one; of two with one key the later wins.
                txn.cursor().putmulti(sorted(put, key=itemgetter(0)))
                return put
        except lmdb.Error as error:
            raise as_store_error(error, self._folder.path) from error

    def _begin(self, name: bytes) -> Any:
        """A transaction that reads what is there by now, as a context manager."""
        self._folder.reopen_if_replaced()
        database = self._folder.database(name)
        return self._folder.environment().begin(db=database)


def _control(txn: Any) -> Control | None:
    text = txn.get(_KEY)
    return None if text is None else Control.from_json(text)


def _prefix(user_id: str) -> bytes:
    # The length comes first, so that no user's keys begin with another user's.
    encoded = user_id.encode()
    return bytes([min(len(encoded), 255)]) + encoded


def _key(user_id: str, variant: int, position: int) -> bytes:
    return _prefix(user_id) + bytes([variant, position])


def _keys(txn: Any, prefix: bytes) -> Iterator[bytes]:
    cursor = txn.cursor()
    if cursor.set_range(prefix):
        for key in cursor.iternext(values=False):
            if not key.startswith(prefix):
                return
            yield key
