from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.errors import ConfigError
from conf.hours import Hour

FIVE = Hour(datetime(2026, 11, 23, 5, tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T05",
        "2026-11-23T05:00",
        "2026-11-23T05:00:00Z",
        "2026-11-23 05",
        "2026-11-23-05:00",
        " 2026-11-23T05Z ",
    ],
)
def test_every_spelling_of_an_hour_is_read(text: str) -> None:
    assert Hour.parse(text) == FIVE


@pytest.mark.parametrize("text", ["", "2026-11-23", "2026-11-23T24", "2026-02-30T01", "2026-11-23T05:30", "now"])
def test_what_is_no_hour_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ConfigError, match="write it like 2026-11-23T05"):
        Hour.parse(text)


def test_an_hour_ends_where_the_next_begins() -> None:
    assert FIVE.end == datetime(2026, 11, 23, 6, tzinfo=UTC)
    assert Hour.of(FIVE.end) > FIVE
    assert Hour.of(FIVE.end - timedelta(microseconds=1)) == FIVE


def test_an_hour_knows_its_day_and_its_keys() -> None:
    assert FIVE.date == date(2026, 11, 23)
    assert (FIVE.day_key, FIVE.key, str(FIVE)) == ("2026-11-23", "2026-11-23-05:00", "2026-11-23T05:00Z")


def test_other_zones_are_brought_to_utc() -> None:
    in_delhi = datetime(2026, 11, 23, 10, 45, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert Hour.of(in_delhi) == FIVE


@pytest.mark.parametrize(
    "start",
    [
        datetime(2026, 11, 23, 5),  # noqa: DTZ001  # that a time without a zone is refused is what is tested
        datetime(2026, 11, 23, 5, 1, tzinfo=UTC),
        datetime(2026, 11, 23, 5, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_only_whole_hours_in_utc_are_hours(start: datetime) -> None:
    with pytest.raises(ValueError, match="an hour"):
        Hour(start)


@given(st.datetimes(min_value=datetime(1995, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # hypothesis wants bounds without a zone
def test_an_hour_survives_its_own_spellings(moment: datetime) -> None:
    hour = Hour.of(moment)
    assert hour.start <= moment < hour.end
    assert Hour.parse(str(hour)) == Hour.parse(hour.key) == hour
