"""Taking events: checked, made durable, then reflected in the next answer of any worker."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from serving.problems import Problem, bad_request, unavailable
from serving.service import Service, item_number, service
from stores.eventlog.base import EventLogUnavailable, derive_event_id
from stores.sessions.base import SessionEvent

log = logging.getLogger(__name__)
blueprint = Blueprint("events", __name__, url_prefix="/api/v1")
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Context(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    device: Name | None = None
    page: Name | None = None
    position: Annotated[int, Field(ge=0, le=10_000)] | None = None
    recommendation_id: Name | None = None
    model_version: Name | None = None


class EventIn(BaseModel):
    """The body of POST /api/v1/events."""

    model_config = ConfigDict(extra="forbid", strict=True)

    event_type: Literal["impression", "click", "watch", "add_to_list", "rate", "not_interested"]
    item_id: Name
    timestamp: str
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

    @model_validator(mode="after")
    def _rate_has_a_rating(self) -> EventIn:
        if self.event_type == "rate" and self.rating is None:
            raise ValueError("an event of type rate needs rating")
        return self


@blueprint.post("/events")
def take() -> tuple[Response, int]:
    parts = service()
    user_id = parts.caller().user_id
    event = _parse(request.get_data())
    moment = datetime.fromisoformat(event.timestamp)
    _check_clock(moment, parts)
    number = item_number(parts.snapshot(), event.item_id)
    row = _row(user_id, event)
    try:
        parts.eventlog.append([row])
    except EventLogUnavailable as error:
        log.error("the event log is unavailable: %s", error)
        raise unavailable("The event could not be stored. Send it again.") from error
    parts.metrics.events.labels(event.event_type).inc()
    reflected = _reflect(parts, user_id, SessionEvent(number, event.event_type, moment.timestamp()))
    body = json.dumps({"event_id": row["event_id"], "reflected": reflected})
    return Response(body, mimetype="application/json"), 202


def _parse(body: bytes) -> EventIn:
    try:
        return EventIn.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise bad_request(f"{where or 'The body'}: {first['msg']}.") from None


def _check_clock(moment: datetime, parts: Service) -> None:
    now = datetime.fromtimestamp(parts.clock(), UTC)
    bounds = parts.settings.data
    if moment > now + timedelta(minutes=bounds.max_future_minutes):
        raise Problem(400, "clock", f"timestamp lies more than {bounds.max_future_minutes} minutes in the future.")
    if moment < now - timedelta(days=bounds.max_past_days):
        raise Problem(400, "clock", f"timestamp lies more than {bounds.max_past_days} days in the past.")


def _row(user_id: str, event: EventIn) -> dict[str, Any]:
    """The event as the log keeps it. An id that the client gave is its user's alone: nobody can use up another's."""
    if event.event_id is None:
        event_id = derive_event_id(user_id, event.event_type, event.item_id, event.timestamp)
    else:
        event_id = derive_event_id(user_id, "given", event.event_id, "")
    return {"user_id": user_id, **event.model_dump(), "event_id": event_id}


def _reflect(parts: Service, user_id: str, event: SessionEvent) -> bool:
    """The event is durable by now, so a session store that is away costs freshness and no more."""
    try:
        parts.sessions.apply(user_id, event)
    except Exception:  # whatever is wrong with it, the caller must not send the event again
        log.exception("an event is not reflected")
        parts.metrics.unreflected.inc()
        return False
    return True
