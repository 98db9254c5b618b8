"""What the routes are given: everything one app is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from flask import current_app, request

from conf.settings import Settings
from serving.auth import Authenticator, Caller
from serving.follower import Follower, Snapshot
from serving.limits import RateLimit, too_many_requests
from serving.metrics import Metrics
from serving.problems import REQUEST_ID, bad_request, unavailable, unknown_item
from serving.recommender import Recommender
from serving.search import Searcher
from stores.base import Store
from stores.eventlog.base import EventLog
from stores.sessions.base import Sessions
from stores.shown.base import ShownLog

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
    limits: Mapping[str, RateLimit]
    """By scope."""
    settings: Settings
    clock: Callable[[], float]
    """Epoch seconds."""
    metrics: Metrics
    searcher: Searcher | None
    shown: ShownLog | None

    def snapshot(self) -> Snapshot:
        """What is served now. Raises Problem (503) before the first generation."""
        snapshot = self.follower.snapshot
        if snapshot is None:
            raise unavailable(f"There is nothing to serve yet: {self.follower.problem}")
        return snapshot

    def snapshot_of(self, generation: int) -> Snapshot | None:
        """A generation that this process still has."""
        return self.follower.snapshot_of(generation)

    def caller(self) -> Caller:
        """Who sent the request at hand. Raises Problem (401, or 429 when they send too many)."""
        caller = self.authenticator.caller(request.headers.get("Authorization"))
        self.charge(caller, 1)
        return caller

    def charge(self, caller: Caller, count: int) -> None:
        """Count so many requests against the caller's rate limit. Raises Problem (429)."""
        wait = self.limits[caller.scope].take(caller.user_id, count)
        if wait:
            self.metrics.refused.labels(caller.scope).inc()
            raise too_many_requests(wait)


def service() -> Service:
    """The service of the app that answers the request at hand."""
    return cast(Service, current_app.extensions[EXTENSION])


def request_id() -> str:
    """Of the request at hand; its answer has it in X-Request-Id."""
    return cast(str, request.environ[REQUEST_ID])


def choice_argument(name: str, choices: Sequence[str]) -> str:
    """One of `choices` from the query; the first where it is left out. Raises Problem (400)."""
    text = request.args.get(name, choices[0])
    if text not in choices:
        raise bad_request(f"{name} must be one of {', '.join(choices)}, got {text[:40]!r}.")
    return text


def text_argument(name: str, longest: int) -> str | None:
    """Text of the query; None where it is left out. Raises Problem (400) unless it has 1 to `longest` characters."""
    text = request.args.get(name)
    if text is not None and not (text.strip() and len(text) <= longest):
        raise bad_request(f"{name} must have 1 to {longest} characters, not all of them blank.")
    return text


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
