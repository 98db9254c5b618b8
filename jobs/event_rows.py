"""From a record of the event log to a row of the table events: the one place where what stands in the log is judged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from conf.vocabulary import EVENT_TYPES
from jobs.tables import CONTEXT, EVENTS

MAX_TEXT, MAX_USER_BYTES = 200, 64
"""Characters of an id or a name; bytes of a user_id, which is a key of the store."""
MAX_SECONDS, MAX_POSITION = 10**8, 10**6
LOWEST, HIGHEST = 0.5, 5.0
AHEAD = timedelta(days=1)
"""An event that lies further ahead is refused: so none can have arrived more than a day before it happened."""
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class Malformed(Exception):
    """A record is no event. The text says what is wrong with it."""


def parse(value: bytes | None, now: datetime) -> dict[str, Any]:
    """The event of a record, with the columns of the table: timestamp in UTC, ingested_at, date and hour of `now`.

    Members that the table does not have are left out.

    Raises:
        Malformed: it is none.
    """
    event = _object(value)
    row = {
        "event_id": _text(event, "event_id", required=True),
        "user_id": _user_id(event),
        "item_id": _text(event, "item_id", required=True),
        "event_type": _event_type(event),
        "watch_duration_sec": _whole(event, "watch_duration_sec", MAX_SECONDS),
        "completed": _truth(event, "completed"),
        "rating": _rating(event),
        "context": _context(event),
        "timestamp": _moment(event, now),
        "ingested_at": now,
        "date": now.date(),
        "hour": now.hour,
    }
    if row["event_type"] == "rate" and row["rating"] is None:
        raise Malformed("an event of type rate without a rating")
    assert list(row) == EVENTS.columns
    return row


def _object(value: bytes | None) -> dict[str, Any]:
    try:
        event = json.loads(value or b"")
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    if not isinstance(event, dict):
        raise Malformed("not a JSON object")
    return event


def _text(event: Mapping[str, Any], name: str, required: bool = False) -> str | None:
    text = event.get(name)
    if text is None and not required:
        return None
    if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
        raise Malformed(f"{name} is not a text of 1 to {MAX_TEXT} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Malformed(f"{name} cannot be written as UTF-8") from None
    return text


def _user_id(event: Mapping[str, Any]) -> str | None:
    user_id = _text(event, "user_id", required=True)
    if user_id is not None and len(user_id.encode()) > MAX_USER_BYTES:
        raise Malformed(f"user_id has more than {MAX_USER_BYTES} bytes")
    return user_id


def _event_type(event: Mapping[str, Any]) -> str:
    kind = event.get("event_type")
    if kind not in EVENT_TYPES:
        raise Malformed("unknown event_type")
    return str(kind)


def _whole(event: Mapping[str, Any], name: str, most: int) -> int | None:
    number = event.get(name)
    if number is None:
        return None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= most:
        raise Malformed(f"{name} is not a whole number from 0 to {most}")
    return number


def _truth(event: Mapping[str, Any], name: str) -> bool | None:
    truth = event.get(name)
    if not (truth is None or isinstance(truth, bool)):
        raise Malformed(f"{name} is neither true nor false")
    return truth


def _rating(event: Mapping[str, Any]) -> float | None:
    rating = event.get("rating")
    if rating is None:
        return None
    if not isinstance(rating, int | float) or isinstance(rating, bool) or not LOWEST <= rating <= HIGHEST:
        raise Malformed(f"rating is not a number from {LOWEST:g} to {HIGHEST:g}")
    return float(rating)


def _context(event: Mapping[str, Any]) -> dict[str, Any]:
    context = event.get("context")
    if context is None:
        context = {}
    if not isinstance(context, dict):
        raise Malformed("context is not a JSON object")
    return {
        name: _whole(context, name, MAX_POSITION) if name == "position" else _text(context, name)
        for name in CONTEXT.fieldNames()
    }


def _moment(event: Mapping[str, Any], now: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(event["timestamp"])
        moment = moment.astimezone(UTC) if moment.tzinfo is not None else moment
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Malformed("timestamp is not a time as in 2024-01-28T15:30:00Z") from None
    if moment.tzinfo is None:
        raise Malformed("timestamp names no time zone")
    if moment < _EARLIEST:
        raise Malformed("timestamp is before 1970")
    if moment > now + AHEAD:
        raise Malformed("timestamp is more than a day in the future")
    return moment
