"""What the routes are given: everything one app is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from flask import current_app, request

from conf.settings import Settings
from serving.auth import Authenticator, Caller
from serving.breaker import Breaker
from serving.follower import Follower
from serving.limits import RateLimit, too_many_requests
from serving.metrics import Metrics
from serving.problems import REQUEST_ID, bad_request, unavailable, unknown_item
from serving.recommender import Recommender
from serving.search import Searcher
from serving.snapshot import Snapshot
from stores.base import Store
from stores.eventlog.base import EventLog
from stores.sessions.base import Sessions
from stores.shown.base import ShownLog

EXTENSION = "topshelf"
MAX_LIMIT = 100
ANONYMOUS = "anonymous"
"""Scope and subject of callers without a token, who share one rate limit: behind a proxy they have one address."""


@dataclass(frozen=True)
class Service:
    recommender: Recommender
    follower: Follower
    store: Store
    sessions: Sessions
    session_writes: Breaker
    """Of writes to `sessions`; reads have one of their own."""
    eventlog: EventLog
    authenticator: Authenticator
    limits: Mapping[str, RateLimit]
    """By scope; of callers without a token, ANONYMOUS."""
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
            # Anybody may read it, and what is wrong may name files and hosts: operators are told by /readyz.
            raise unavailable("There is nothing to serve yet.")
        return snapshot

    def snapshot_of(self, generation: int) -> Snapshot | None:
        """A generation that this process still has."""
        return self.follower.snapshot_of(generation)

    def caller(self) -> Caller:
        """Who sent the request at hand. Raises Problem (401, or 429 when they send too many)."""
        caller = self.authenticator.caller(request.headers.get("Authorization"))
        self.charge(caller, 1)
        return caller

    def caller_if_any(self) -> Caller | None:
        """The same, or None for a request without a token. Raises Problem (401; 429 also when all of those together
        are too many)."""
        if "Authorization" in request.headers:
            return self.caller()
        self._draw(ANONYMOUS, ANONYMOUS, 1)
        return None

    def charge(self, caller: Caller, count: int) -> None:
        """Count so many requests against the caller's rate limit. Raises Problem (429)."""
        self._draw(caller.scope, caller.user_id, count)

    def _draw(self, scope: str, subject: str, count: int) -> None:
        wait = self.limits[scope].take(subject, count)
        if wait:
            self.metrics.refused.labels(scope).inc()
            raise too_many_requests(wait, scope == ANONYMOUS)


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
