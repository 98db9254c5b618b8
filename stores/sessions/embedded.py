"""Sessions in LMDB, for one machine.

An event outlives the process as soon as `apply` returns. When the machine itself fails, the last commits may be
lost; the event log, which is synced first, still has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import lmdb

from stores.lmdb_env import LmdbFolder, as_store_error
from stores.sessions.base import SessionEvent, Sessions
from stores.sessions.packing import count, merged, pack, trimmed, unpack

_DATABASE = b"sessions-2"
"""The number is that of the entries' format."""


class EmbeddedSessions(Sessions):
    """See `stores.sessions.base.Sessions`. One value a user: their events packed, newest first."""

    def __init__(self, path: Path, map_size_gb: int) -> None:
        self._folder = LmdbFolder(path, map_size_gb, (_DATABASE,), sync=False)

    def apply(self, user_id: str, events: Sequence[SessionEvent]) -> int:
        more = pack(events)
        return count(self._change(user_id, lambda packed: merged(packed, more)))

    def trim(self, user_id: str, passed: float) -> None:
        if self._folder.exists():
            self._change(user_id, lambda packed: trimmed(packed, passed))

    def read(self, user_id: str) -> tuple[SessionEvent, ...]:
        if not self._folder.exists():
            return ()
        try:
            self._folder.reopen_if_replaced()
            database = self._folder.database(_DATABASE)
            with self._folder.environment().begin(db=database) as txn:
                packed = txn.get(user_id.encode())
        except lmdb.Error as error:
            raise as_store_error(error, self._folder.path) from error
        return () if packed is None else unpack(packed)

    def forget(self, user_id: str) -> None:
        if self._folder.exists():
            self._change(user_id, lambda _: b"")

    def scrub(self) -> str:
        if self._folder.exists():
            self._folder.compact()
        return ""

    def close(self) -> None:
        self._folder.close()

    def _change(self, user_id: str, change: Callable[[bytes], bytes]) -> bytes:
        key = user_id.encode()
        try:
            with self._folder.writing(_DATABASE) as txn:
                before: bytes = txn.get(key) or b""
                after = change(before)
                if after and after != before:
                    txn.put(key, after)
                elif before and not after:
                    txn.delete(key)
        except lmdb.Error as error:
            raise as_store_error(error, self._folder.path) from error
        return after
