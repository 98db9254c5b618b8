"""What counts as an event, and what is said of what does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.event_rows import Malformed, parse

NOW = datetime(2026, 1, 10, 5, 20, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "event_id": "e1", "user_id": "ann", "item_id": "alien", "event_type": "watch", "timestamp": "2026-01-10T06:00+01:00"
}  # fmt: skip


def parsed(**more: Any) -> dict[str, Any]:
    return parse(json.dumps({**EVENT, **more}).encode(), NOW)


def test_an_event_has_the_tables_columns_in_utc_and_is_stamped_with_its_arrival() -> None:
    row = parsed(rating=3, context={"page": "home", "position": 2, "else": 1}, logged_at=17.5)
    assert row["timestamp"] == datetime(2026, 1, 10, 5, tzinfo=UTC)
    assert (row["ingested_at"], row["date"], row["hour"], row["rating"]) == (NOW, NOW.date(), 5, 3.0)
    assert row["context"] == {
        "device": None, "page": "home", "position": 2, "recommendation_id": None, "model_version": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"event_id": None}, "event_id is not a text of 1 to 200 characters"),
        ({"item_id": 7}, "item_id is not a text of 1 to 200 characters"),
        ({"user_id": "ä" * 33}, "user_id has more than 64 bytes"),
        ({"user_id": "\ud800"}, "user_id cannot be written as UTF-8"),
        ({"event_type": ["watch"]}, "unknown event_type"),
        ({"event_type": "rate"}, "an event of type rate without a rating"),
        ({"rating": float("nan")}, "rating is not a number from 0.5 to 5"),
        ({"watch_duration_sec": 1.5}, "watch_duration_sec is not a whole number from 0 to 100000000"),
        ({"completed": 1}, "completed is neither true nor false"),
        ({"context": []}, "context is not a JSON object"),
        ({"context": {"position": -1}}, "position is not a whole number from 0 to 1000000"),
        ({"timestamp": "2026-01-10T05:00:00"}, "timestamp names no time zone"),
        ({"timestamp": 17}, "timestamp is not a time as in 2024-01-28T15:30:00Z"),
        ({"timestamp": "0001-01-01T00:00:00+23:00"}, "timestamp is not a time as in 2024-01-28T15:30:00Z"),
        ({"timestamp": "1969-12-31T23:59:59Z"}, "timestamp is before 1970"),
        ({"timestamp": "2026-01-11T05:20:01Z"}, "timestamp is more than a day in the future"),
    ],
)
def test_what_is_wrong_with_a_member_is_said(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(Malformed) as told:
        parsed(**changed)
    assert str(told.value) == reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "not JSON"), (b"\xff", "not JSON"), (b"[" * 100_000, "not JSON"), (b"[1]", "not a JSON object")],
)
def test_bytes_that_hold_no_object_are_told_apart(value: bytes | None, reason: str) -> None:
    with pytest.raises(Malformed, match=f"^{reason}$"):
        parse(value, NOW)
