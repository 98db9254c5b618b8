"""Where a next page begins, as text that clients hand back unread.

It holds the generation, the offset, and the seed and time of the first page's order, so that no page of it repeats or
skips an item, and a check that binds it to what was asked for. It is not a secret and not signed: one that somebody
made up leads to a later part of a page that they may see anyway.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
import zlib
from dataclasses import dataclass
from datetime import datetime

from serving.answers import REQUEST_ID_BYTES, REQUEST_ID_PREFIX
from serving.problems import Problem, bad_request
from stores.base import CHALLENGER, CHAMPION

MAX_DEPTH = 1000
"""Items of all pages of one cursor: what a later page costs grows with what comes before it."""
_LAYOUT = struct.Struct(f">BIHId{REQUEST_ID_BYTES}s")
LENGTH = _LAYOUT.size * 4 // 3
_FORMATS = {CHAMPION: 1, CHALLENGER: 2}
"""By the variant of the list that the pages are cut from."""
_DAY = 86_400


@dataclass(frozen=True)
class Place:
    generation: int
    offset: int
    seed: str
    """The request id of the first page."""
    as_of: float
    """Its time, epoch seconds."""
    variant: str = CHAMPION
    """Of the list that the pages are cut from."""


def write(place: Place, about: str) -> str | None:
    """The cursor for `place`; None beyond the last page that there may be.

    about: what the page was asked for, without limit and cursor.
    """
    if place.offset >= MAX_DEPTH:
        return None
    seed = bytes.fromhex(place.seed.removeprefix(REQUEST_ID_PREFIX))
    packed = _LAYOUT.pack(
        _FORMATS[place.variant], place.generation, place.offset, _check(place, about), place.as_of, seed
    )
    return base64.urlsafe_b64encode(packed).decode()


def read(text: str, about: str) -> Place:
    """Raises Problem (400) for text that is no cursor, or the cursor of something else."""
    try:
        if len(text) != LENGTH:
            raise ValueError
        packed = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        kind, generation, offset, check, as_of, seed = _LAYOUT.unpack(packed)
        variant = next((name for name, number in _FORMATS.items() if number == kind), None)
        if variant is None:
            raise ValueError
    except (ValueError, binascii.Error, struct.error):
        raise bad_request("cursor must be the next_cursor of an earlier answer, unchanged.") from None
    place = Place(generation, offset, REQUEST_ID_PREFIX + seed.hex(), as_of, variant)
    if check != _check(place, about) or not (0 < offset < MAX_DEPTH and math.isfinite(as_of)):
        raise bad_request("cursor belongs to a page of another user, context, item_id or q.")
    return place


def check_time(place: Place, made_at: str, now: float) -> None:
    """Raises Problem (400) unless pages were shown at the place's time: since its generation was made, up to now.

    An order of another time could be made of all that may not be shown any more, and a page would search it to its end.
    Clocks, of devices too, may differ by a day.

    made_at: of the generation, ISO 8601. now: epoch seconds.
    """
    if not datetime.fromisoformat(made_at).timestamp() - _DAY <= place.as_of <= now + _DAY:
        raise bad_request("cursor must be the next_cursor of an earlier answer, unchanged.")


def expired() -> Problem:
    """410 for the cursor of a generation that is gone."""
    return Problem(410, "cursor-expired", "The lists were renewed since this cursor was made. Begin without one.")


def _check(place: Place, about: str) -> int:
    text = f"{place.generation}/{place.offset}/{place.seed}/{place.as_of!r}/{place.variant}/{about}"
    return zlib.crc32(text.encode(errors="surrogatepass"))
