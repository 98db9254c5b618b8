"""The body of POST /api/v1/events: one event, or up to 500, checked as a whole before anything is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from conf.settings import Data
from serving.auth import Caller, check_user_id
from serving.problems import Problem, bad_request, unknown_item
from stores.artefact import Artefact
from stores.eventlog.base import derive_event_id

MAX_BATCH = 500
_BATCH = re.compile(rb'\s*\{\s*"events"\s*:')
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Context(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    device: Name | None = None
    page: Name | None = None
    position: Annotated[int, Field(ge=0, le=10_000)] | None = None
    recommendation_id: Name | None = None
    model_version: Name | None = None


class EventIn(BaseModel):
    """One event."""

    model_config = ConfigDict(extra="forbid", strict=True)

    event_type: Literal["impression", "click", "watch", "add_to_list", "rate", "not_interested"]
    item_id: Name
    timestamp: str
    user_id: str | None = None
    event_id: Name | None = None
    watch_duration_sec: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    completed: bool | None = None
    rating: Annotated[float, Field(ge=0.5, le=5)] | None = None
    context: Context = Context()

    @field_validator("timestamp")
    @classmethod
    def _in_utc(cls, text: str) -> str:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("a timestamp names its time zone, as in 2024-01-28T15:30:00Z")
        try:
            return moment.astimezone(UTC).isoformat(timespec="microseconds")
        except OverflowError:
            raise ValueError("the timestamp is out of range") from None

    @field_validator("user_id")
    @classmethod
    def _fits_a_key(cls, user_id: str | None) -> str | None:
        if user_id is not None:
            check_user_id(user_id)
        return user_id

    @model_validator(mode="after")
    def _rate_has_a_rating(self) -> EventIn:
        if self.event_type == "rate" and self.rating is None:
            raise ValueError("an event of type rate needs rating")
        return self


class BatchIn(BaseModel):
    """Several events."""

    model_config = ConfigDict(extra="forbid", strict=True)

    events: Annotated[list[EventIn], Field(min_length=1, max_length=MAX_BATCH)]


@dataclass(frozen=True)
class Taken:
    """An event that may be kept."""

    row: dict[str, Any]
    """As the event log keeps it."""
    item_no: int
    moment: float
    """Epoch seconds at which it happened."""


def parse(body: bytes) -> tuple[list[EventIn], bool]:
    """The events of a body, and whether it is a batch, as the member `events` says.

    Raises:
        Problem: 400; names the member that is wrong, as in events.3.item_id.
    """
    try:
        # It is a batch's only member.
        if _BATCH.match(body):
            return BatchIn.model_validate_json(body).events, True
        return [EventIn.model_validate_json(body)], False
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise bad_request(f"{where or 'The body'}: {first['msg']}.") from None


def check(
    events: list[EventIn], batch: bool, caller: Caller, artefact: Artefact, bounds: Data, now: float
) -> list[Taken]:
    """What may be kept of events: all of them.

    now: epoch seconds.

    Raises:
        Problem: the first thing that is wrong. 403: an event of another user than the token's; 404: an item that the
            catalogue does not have (of a batch: 400, as for all else).
    """
    return [
        _check(event, f"events.{place}." if batch else "", caller, artefact, bounds, now)
        for place, event in enumerate(events)
    ]


def _check(event: EventIn, path: str, caller: Caller, artefact: Artefact, bounds: Data, now: float) -> Taken:
    user_id = _user(event, path, caller)
    number = artefact.item_no.get(event.item_id)
    if number is None:
        if not path:
            raise unknown_item(event.item_id)
        raise bad_request(f"{path}item_id: there is no item {event.item_id!r} in the catalogue.")
    moment = datetime.fromisoformat(event.timestamp)
    today = datetime.fromtimestamp(now, UTC)
    if moment > today + timedelta(minutes=bounds.max_future_minutes):
        raise _clock(path, f"{bounds.max_future_minutes} minutes in the future")
    if moment < today - timedelta(days=bounds.max_past_days):
        raise _clock(path, f"{bounds.max_past_days} days in the past")
    return Taken(_row(user_id, event), number, moment.timestamp())


def _user(event: EventIn, path: str, caller: Caller) -> str:
    if caller.scope == "service":
        if event.user_id is None:
            raise bad_request(f"{path}user_id: a token with the scope service says whose each event is.")
        return event.user_id
    if event.user_id not in (None, caller.user_id):
        raise Problem(403, "forbidden", f"{path}user_id: a user's token takes events of that user alone.")
    return caller.user_id


def _clock(path: str, how_far: str) -> Problem:
    return Problem(400, "clock", f"{path}timestamp lies more than {how_far}.")


def _row(user_id: str, event: EventIn) -> dict[str, Any]:
    """The event as the log keeps it. An id that the client gave is its user's alone: nobody can use up another's."""
    if event.event_id is None:
        event_id = derive_event_id(user_id, event.event_type, event.item_id, event.timestamp)
    else:
        event_id = derive_event_id(user_id, "given", event.event_id, "")
    return {**event.model_dump(), "user_id": user_id, "event_id": event_id}
