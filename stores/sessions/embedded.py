"""Sessions in LMDB, for one machine.

An event outlives the process as soon as `apply` returns. When the machine itself fails, the last commits may be
lost; the event log, which is synced first, still has them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import lmdb

from conf.vocabulary import EVENT_TYPES
from stores.lmdb_env import LmdbFolder, as_store_error
from stores.sessions.base import HIDING_EVENTS, MAX_EVENTS, MAX_HIDDEN, SessionEvent, Sessions

_EVENT = struct.Struct("<iBd")
_DATABASE = b"sessions"
_NUMBER = {name: number for number, name in enumerate(EVENT_TYPES)}
_HIDING = frozenset(_NUMBER[name] for name in HIDING_EVENTS)


class EmbeddedSessions(Sessions):
    """See `stores.sessions.base.Sessions`. One value a user: their events packed, newest first."""

    def __init__(self, path: Path, map_size_gb: int) -> None:
        self._folder = LmdbFolder(path, map_size_gb, (_DATABASE,), sync=False)

    def apply(self, user_id: str, event: SessionEvent) -> None:
        packed = _EVENT.pack(event.item_no, _NUMBER[event.event_type], event.timestamp)
        key = user_id.encode()
        try:
            database = self._folder.database(_DATABASE)
            with self._folder.environment().begin(db=database, write=True) as txn:
                events = _split(txn.get(key) or b"")
                if packed not in events:
                    events.append(packed)
                    events.sort(key=_time, reverse=True)
                    txn.put(key, b"".join(_kept(events)))
        except lmdb.Error as error:
            raise as_store_error(error, self._folder.path) from error

    def read(self, user_id: str) -> tuple[SessionEvent, ...]:
        if not self._folder.exists():
            return ()
        try:
            database = self._folder.database(_DATABASE)
            with self._folder.environment().begin(db=database) as txn:
                packed = txn.get(user_id.encode())
        except lmdb.Error as error:
            raise as_store_error(error, self._folder.path) from error
        if packed is None:
            return ()
        return tuple(SessionEvent(item, EVENT_TYPES[kind], time) for item, kind, time in _EVENT.iter_unpack(packed))

    def close(self) -> None:
        self._folder.close()


def _split(packed: bytes) -> list[bytes]:
    return [packed[start : start + _EVENT.size] for start in range(0, len(packed), _EVENT.size)]


def _kept(events: Iterable[bytes]) -> Iterator[bytes]:
    """Of events, newest first, those that a session holds."""
    hidden, others = set[int](), 0
    for event in events:
        item_no, kind, _ = _EVENT.unpack(event)
        if kind not in _HIDING:
            others += 1
            if others <= MAX_EVENTS:
                yield event
        elif item_no not in hidden and len(hidden) < MAX_HIDDEN:
            hidden.add(item_no)
            yield event


def _time(packed: bytes) -> float:
    return float(_EVENT.unpack(packed)[2])
