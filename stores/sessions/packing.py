"""A session as bytes: one entry of 21 bytes an event, newest first, all numbers little-endian.

    item_no i32 · event type u8 (index into EVENT_TYPES) · timestamp f64 · logged_at f64

`stores/sessions/merge.lua` does the same inside Redis.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from conf.vocabulary import EVENT_TYPES
from stores.sessions.base import HIDING_EVENTS, MAX_EVENTS, MAX_HIDDEN, SessionEvent

_ENTRY = struct.Struct("<iBdd")
_NUMBER = {name: number for number, name in enumerate(EVENT_TYPES)}
HIDING = frozenset(_NUMBER[name] for name in HIDING_EVENTS)
Entry = tuple[int, int, float, float]
"""item_no, event type, timestamp, logged_at."""


def pack(events: Iterable[SessionEvent]) -> bytes:
    return b"".join(
        _ENTRY.pack(event.item_no, _NUMBER[event.event_type], event.timestamp, event.logged_at) for event in events
    )


def unpack(packed: bytes) -> tuple[SessionEvent, ...]:
    return tuple(
        SessionEvent(item_no, EVENT_TYPES[kind], timestamp, logged_at)
        for item_no, kind, timestamp, logged_at in _ENTRY.iter_unpack(packed)
    )


def merged(packed: bytes, more: bytes) -> bytes:
    """A session with further events, in order, and cut to what a session holds."""
    entries = sorted(_ENTRY.iter_unpack(packed + more), key=_rank, reverse=True)
    return b"".join(_ENTRY.pack(*entry) for entry in _kept(entries))


def trimmed(packed: bytes, passed: float) -> bytes:
    """A session without the events that happened and were logged before `passed`."""
    entries = _ENTRY.iter_unpack(packed)
    return b"".join(_ENTRY.pack(*entry) for entry in entries if max(entry[2], entry[3]) >= passed)


def limits() -> tuple[int, int]:
    """Items hidden, and other events, that a session holds at most."""
    return MAX_HIDDEN, MAX_EVENTS


def count(packed: bytes) -> int:
    """How many events a session holds."""
    return len(packed) // _ENTRY.size


def _rank(entry: Entry) -> tuple[float, int, int, float]:
    item_no, kind, timestamp, logged_at = entry
    return timestamp, item_no, kind, logged_at


def _kept(entries: Iterable[Entry]) -> Iterator[Entry]:
    hidden, others, last = set[int](), 0, None
    for entry in entries:
        item_no, kind, timestamp, _ = entry
        if kind in HIDING:
            if item_no not in hidden and len(hidden) < MAX_HIDDEN:
                hidden.add(item_no)
                yield entry
        elif last != (item_no, kind, timestamp):
            last = (item_no, kind, timestamp)
            others += 1
            if others <= MAX_EVENTS:
                yield entry
