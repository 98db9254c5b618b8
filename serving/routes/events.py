"""Taking events: checked, made durable, then reflected in the next answer of any worker."""

from __future__ import annotations

import json
import logging

from flask import Blueprint, Response, request

from serving.breaker import CircuitOpen
from serving.events import Taken, check, parse
from serving.lookup import Outcome
from serving.problems import unavailable
from serving.service import Service, service
from serving.session import TELLING_EVENTS
from stores.base import StoreTimeout
from stores.eventlog.base import EventLogUnavailable
from stores.sessions.base import SessionEvent
from stores.sessions.retention import passed

log = logging.getLogger(__name__)
blueprint = Blueprint("events", __name__, url_prefix="/api/v1")
LONG_SESSION = 200
"""Events above which a session is worth a look at the user's ring, to drop what their lists know."""


@blueprint.post("/events")
def take() -> tuple[Response, int]:
    parts = service()
    caller = parts.caller()
    events, batch = parse(request.get_data())
    checked = check(events, batch, caller, parts.snapshot().artefact, parts.settings.data, parts.clock())
    snapshot = parts.snapshot()
    taken = [event for event in checked if not snapshot.bars(event.row["user_id"])]
    parts.metrics.events_dropped.inc(len(checked) - len(taken))
    try:
        parts.eventlog.append([event.row for event in taken])
    except EventLogUnavailable as error:
        log.error("the event log is unavailable: %s", error)
        raise unavailable("What happened could not be stored. Send it again.") from error
    for event in taken:
        parts.metrics.events.labels(event.row["event_type"]).inc()
    reflected = _reflect(parts, taken)
    kept = {event.row["user_id"] for event in taken}
    answers = [_answer(event, reflected, kept) for event in checked]
    body = json.dumps({"events": answers} if batch else answers[0])
    return Response(body, mimetype="application/json"), 202


def _answer(event: Taken, reflected: set[str], kept: set[str]) -> dict[str, str | bool]:
    """kept is told of only where it is not: of users who were forgotten. Their app need not send anything again."""
    user_id = event.row["user_id"]
    said: dict[str, str | bool] = {"event_id": event.row["event_id"], "reflected": user_id in reflected}
    return said if user_id in kept else {**said, "kept": False}


def _reflect(parts: Service, taken: list[Taken]) -> set[str]:
    """Users whose sessions have those of their events that pages depend on.

    All are durable by now, so a store that is away costs freshness alone.
    """
    logged_at = parts.clock()
    users: dict[str, list[SessionEvent]] = {}
    for event in taken:
        if event.row["event_type"] not in TELLING_EVENTS:
            continue
        entry = SessionEvent(event.item_no, event.row["event_type"], event.moment, logged_at)
        users.setdefault(event.row["user_id"], []).append(entry)
    reflected = {event.row["user_id"] for event in taken} - users.keys()
    for user_id, events in users.items():
        try:
            held = parts.session_writes.call(parts.sessions.apply, user_id, events)
        except Exception as error:  # whatever is wrong with it, the caller must not send the events again
            if not isinstance(error, CircuitOpen):
                log.exception("events are not reflected")
            # A store that is away would be waited for once a user: the others go without.
            parts.metrics.unreflected.inc(sum(len(users[other]) for other in users if other not in reflected))
            break
        reflected.add(user_id)
        if held > LONG_SESSION:
            _trim(parts, user_id)
    return reflected


def _trim(parts: Service, user_id: str) -> None:
    """Drop from a session what every list that the user could be sent to knows. Never raises: it can wait."""
    try:
        before = passed(parts.store.ring(user_id), parts.snapshot().control)
        if before is not None:
            parts.sessions.trim(user_id, before)
    except Exception as error:
        log.exception("a session is not trimmed")
        outcome = Outcome.LATE if isinstance(error, StoreTimeout) else Outcome.FAILED
        parts.metrics.lookups.labels("retention", outcome.value).inc()
