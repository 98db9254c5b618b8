"""A session as bytes, all numbers little-endian.

    number of hiding entries u16 · those entries · the entries of all other events

Each part is in order, newest first. An entry is 21 bytes: item_no i32, event type u8 (index into EVENT_TYPES),
timestamp f64, logged_at f64. An event is put into its place without the thousands that may be there being looked at
one by one; `stores/sessions/merge.lua` does the same inside Redis.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import chain
from operator import itemgetter

from conf.vocabulary import EVENT_TYPES
from stores.sessions.base import HIDING_EVENTS, MAX_EVENTS, MAX_HIDDEN, SessionEvent

_COUNT = struct.Struct("<H")
_ENTRY = struct.Struct("<iBdd")
SIZE = _ENTRY.size
_ITEM, _EVENT = 4, 13
"""Bytes of an entry that say whose place it takes: the item's, where it hides one; the same event's, where not."""
_NUMBER = {name: number for number, name in enumerate(EVENT_TYPES)}
HIDING = frozenset(_NUMBER[name] for name in HIDING_EVENTS)
_rank = itemgetter(2, 0, 1, 3)


def pack(events: Iterable[SessionEvent]) -> bytes:
    """The entries of events, in no order: what `merged` adds."""
    return b"".join(
        _ENTRY.pack(event.item_no, _NUMBER[event.event_type], event.timestamp, event.logged_at) for event in events
    )


def unpack(session: bytes) -> tuple[SessionEvent, ...]:
    """All events of a session, newest first."""
    hiding, others = _parts(session)
    entries = sorted(chain(_ENTRY.iter_unpack(hiding), _ENTRY.iter_unpack(others)), key=_rank, reverse=True)
    return tuple(
        [SessionEvent(item_no, EVENT_TYPES[kind], time, logged_at) for item_no, kind, time, logged_at in entries]
    )


def merged(session: bytes, entries: bytes) -> bytes:
    """A session with further entries, cut to what a session holds."""
    hiding, others = _parts(session)
    hides, rest = list[bytes](), list[bytes]()
    for start in range(0, len(entries), SIZE):
        entry = entries[start : start + SIZE]
        (hides if entry[4] in HIDING else rest).append(entry)
    return _whole(
        _placed(hiding, hides, _ITEM)[: MAX_HIDDEN * SIZE],
        _placed(others, rest, _EVENT)[: MAX_EVENTS * SIZE],
    )


def trimmed(session: bytes, passed: float) -> bytes:
    """A session without the events that happened and were logged before `passed`."""
    hiding, others = (
        b"".join(
            [_ENTRY.pack(*entry) for entry in _ENTRY.iter_unpack(part) if entry[2] >= passed or entry[3] >= passed]
        )
        for part in _parts(session)
    )
    return _whole(hiding, others)


def count(session: bytes) -> int:
    """How many events a session holds."""
    return len(session) // SIZE


def limits() -> tuple[int, int]:
    """Items hidden, and other events, that a session holds at most."""
    return MAX_HIDDEN, MAX_EVENTS


def _parts(session: bytes) -> tuple[bytes, bytes]:
    if not session:
        return b"", b""
    end = _COUNT.size + _COUNT.unpack_from(session)[0] * SIZE
    return session[_COUNT.size : end], session[end:]


def _whole(hiding: bytes, others: bytes) -> bytes:
    """Nothing at all where there is no event."""
    return _COUNT.pack(len(hiding) // SIZE) + hiding + others if hiding or others else b""


def _placed(part: bytes, entries: list[bytes], same: int) -> bytes:
    """`part` with entries in their places, instead of earlier ones with the same first bytes."""
    places = {part[at : at + same]: at for at in range(0, len(part), SIZE)}
    edits, seen = list[tuple[int, int, bytes]](), set[bytes]()
    for entry in sorted(entries, key=lambda entry: _rank_at(entry, 0), reverse=True):
        if entry[:same] in seen:
            continue
        seen.add(entry[:same])
        found = places.get(entry[:same])
        if found is not None:
            if _rank_at(part, found) >= _rank_at(entry, 0):
                continue
            edits.append((found, SIZE, b""))
        edits.append((_place(part, entry), 0, entry))
    chunks, at = list[bytes](), 0
    for place, skipped, entry in sorted(edits, key=itemgetter(0, 1)):
        chunks += [part[at:place], entry]
        at = place + skipped
    return b"".join([*chunks, part[at:]])


def _place(part: bytes, entry: bytes) -> int:
    """Where `entry` comes before all that it is newer than."""
    rank, low, high = _rank_at(entry, 0), 0, len(part) // SIZE
    while low < high:
        middle = (low + high) // 2
        if _rank_at(part, middle * SIZE) > rank:
            low = middle + 1
        else:
            high = middle
    return low * SIZE


def _rank_at(packed: bytes, at: int) -> tuple[float, int, int, float]:
    item_no, kind, time, logged_at = _ENTRY.unpack_from(packed, at)
    return time, item_no, kind, logged_at
