"""Sentences of the first page, and how it says hours, times and spans."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from conf.hours import Hour

MOST = 400
"""Characters of an error's text."""


class Tone(StrEnum):
    GOOD = "good"
    WAITING = "waiting"
    BAD = "bad"
    PLAIN = "plain"


@dataclass(frozen=True)
class Line:
    """A sentence; run: the run in Dagster that it speaks of."""

    text: str
    run: str | None = None


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:MOST]


def many(count: int, what: str) -> str:
    """1 list, 2 lists."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def span_of(hour: Hour) -> str:
    return f"{hour.start:%H:%M}–{hour.end:%H:%M} of {hour.start:%-d %B}"


def clock(moment: datetime, now: datetime) -> str:
    """A time of the same day, or with its day."""
    return f"{moment:%H:%M}" if moment.date() == now.date() else f"{moment:%H:%M on %-d %B}"


def long(span: timedelta) -> str:
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes // 1440} days"
