"""What the routes are given: everything one app is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from flask import current_app, request

from conf.settings import Settings
from serving.auth import Authenticator, Caller
from serving.follower import Follower, Snapshot
from serving.metrics import Metrics
from serving.problems import bad_request, unavailable, unknown_item
from serving.recommender import Recommender
from stores.base import Store
from stores.eventlog.base import EventLog
from stores.sessions.base import Sessions

EXTENSION = "topshelf"
MAX_LIMIT = 100


@dataclass(frozen=True)
class Service:
    recommender: Recommender
    follower: Follower
    store: Store
    sessions: Sessions
    eventlog: EventLog
    authenticator: Authenticator
    settings: Settings
    clock: Callable[[], float]
    """Epoch seconds."""
    metrics: Metrics

    def snapshot(self) -> Snapshot:
        """What is served now. Raises Problem (503) before the first generation."""
        snapshot = self.follower.snapshot
        if snapshot is None:
            raise unavailable(f"There is nothing to serve yet: {self.follower.problem}")
        return snapshot

    def caller(self) -> Caller:
        """Who sent the request at hand. Raises Problem (401)."""
        return self.authenticator.caller(request.headers.get("Authorization"))


def service() -> Service:
    """The service of the app that answers the request at hand."""
    return cast(Service, current_app.extensions[EXTENSION])


def limit_argument(default: int) -> int:
    """`limit` of the query. Raises Problem (400) unless it is a whole number from 1 to 100."""
    text = request.args.get("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= MAX_LIMIT and len(text) <= 3):
        raise bad_request(f"limit must be a whole number from 1 to {MAX_LIMIT}, got {text[:20]!r}.")
    return int(text)


def item_number(snapshot: Snapshot, item_id: str) -> int:
    """Raises Problem (404) for an item the catalogue does not have."""
    number = snapshot.artefact.item_no.get(item_id)
    if number is None:
        raise unknown_item(item_id)
    return number
