"""What is known of a user at the time of a request: their stored list and their session, in three ways unknown."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from conf.vocabulary import EVERYWHERE
from serving.follower import Snapshot
from serving.metrics import Metrics
from stores.base import Store, StoreTimeout, choose
from stores.records import ListBody, StoredList
from stores.sessions.base import HIDING_EVENTS, SessionEvent, Sessions

log = logging.getLogger(__name__)


class Outcome(StrEnum):
    FOUND = "found"
    ABSENT = "absent"
    FAILED = "failed"
    LATE = "late"


@dataclass(frozen=True)
class Viewer:
    """What filters know of a user. The default is the strictest: nothing known."""

    maturity_limit: int = 0
    region_bit: np.uint64 = EVERYWHERE
    segment: str | None = None
    hidden: tuple[int, ...] = ()
    """item_nos watched, rated or refused, as far as session and list know."""


@dataclass(frozen=True, eq=False)
class Known:
    """A user's list, if there is one to be had, and the profile that filters it."""

    viewer: Viewer
    body: ListBody | None
    outcome: Outcome
    """Of the look-up of the list."""
    watermark: int = 0
    """Epoch seconds: every event logged before is in the list."""
    events: tuple[SessionEvent, ...] = ()
    """Of the session, newest first."""


STRANGER = Known(Viewer(), None, Outcome.ABSENT)


def know(user_id: str, snapshot: Snapshot, store: Store, sessions: Sessions, metrics: Metrics) -> Known:
    """Look a user up. Never raises: what cannot be read is unknown, and counted as such."""
    stored, outcome = _list(user_id, snapshot, store, metrics)
    events = _events(user_id, sessions, metrics)
    hidden = tuple(event.item_no for event in events if event.event_type in HIDING_EVENTS)
    if stored is None:
        return Known(Viewer(hidden=hidden), None, outcome, events=events)
    body = stored.body
    artefact = snapshot.artefact
    viewer = Viewer(
        maturity_limit=body.maturity_limit,
        region_bit=artefact.region_bits(body.region),
        segment=artefact.segments[body.segment] if body.segment < len(artefact.segments) else None,
        hidden=hidden + body.anchors,
    )
    return Known(viewer, body, outcome, stored.watermark, events)


def _list(user_id: str, snapshot: Snapshot, store: Store, metrics: Metrics) -> tuple[StoredList | None, Outcome]:
    stored, outcome = None, Outcome.ABSENT
    try:
        stored = choose(store.ring(user_id), snapshot.control, lambda _: metrics.corrupt_rows.inc())
        if stored is not None:
            outcome = Outcome.FOUND
    except StoreTimeout:
        outcome = Outcome.LATE
    except Exception:  # whatever is wrong with a store, its users get an answer
        log.exception("the look-up of a list failed")
        outcome = Outcome.FAILED
    metrics.lookups.labels("list", outcome.value).inc()
    return stored, outcome


def _events(user_id: str, sessions: Sessions, metrics: Metrics) -> tuple[SessionEvent, ...]:
    events: tuple[SessionEvent, ...] = ()
    try:
        events = sessions.read(user_id)
        outcome = Outcome.FOUND if events else Outcome.ABSENT
    except StoreTimeout:
        outcome = Outcome.LATE
    except Exception:  # as above
        log.exception("the look-up of a session failed")
        outcome = Outcome.FAILED
    metrics.lookups.labels("session", outcome.value).inc()
    return events
