"""The parts of the service, put together for an operator: what is known of a user, and the page they would get."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from flask import Flask

from conf.errors import DataError, PermanentError, RetryableError
from conf.rules import Rules
from conf.settings import Settings
from serving.app import create_app
from serving.auth import check_user_id, make_token
from serving.eligibility import Eligibility
from serving.exploration import explores
from serving.follower import Follower
from serving.lookup import Known, Lookup
from serving.metrics import Metrics
from serving.page import Page
from serving.request import Request
from serving.search import Searcher
from serving.secrets import our_claims
from serving.service import EXTENSION, Service
from serving.snapshot import Snapshot
from serving.tracing import Trace
from serving.visit import Visit, begin
from stores.opening import open_eventlog, open_sessions, open_store

PATIENT_MS = 60_000
"""For a person, who would rather wait than see a list without their session."""
TRIES = 10_000


class Desk:
    """Reads and writes through the same stores, with the same code, as the service. Thread-safe.

    What is looked at here is not logged as shown, for no user saw it.
    """

    def __init__(self, settings: Settings, rules: Rules, clock: Callable[[], float] = time.time) -> None:
        self.settings, self.rules, self.clock = settings, rules, clock
        patient = settings.serving.model_copy(update={"answer_ms": PATIENT_MS})
        metrics = Metrics()
        self.store = open_store(settings)
        self.sessions = open_sessions(settings)
        self._eventlog = open_eventlog(settings, f"inspect-{secrets.token_hex(6)}", clock)
        self._follower = Follower(self.store, settings.artefacts_path, settings.serving.follow_seconds, metrics)
        self._lookup = Lookup(self.store, self.sessions, patient, metrics)
        self._eligibility = Eligibility(rules)
        self._secret = secrets.token_urlsafe(48)
        self._app = create_app(
            store=self.store,
            follower=self._follower,
            sessions=self.sessions,
            eventlog=self._eventlog,
            settings=settings.model_copy(update={"serving": patient}),
            rules=rules,
            secret=self._secret,
            clock=clock,
            metrics=metrics,
        )
        service: Service = self._app.extensions[EXTENSION]
        self._recommender = service.recommender
        self.searcher = Searcher(metrics)

    def __enter__(self) -> Desk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._eventlog.close()
        self.sessions.close()
        self.store.close()

    @property
    def service(self) -> Flask:
        """The service's own app. It listens nowhere."""
        return self._app

    def snapshot(self) -> Snapshot:
        """What the service would answer from now.

        Raises:
            RetryableError, PermanentError: there is nothing.
        """
        self._follower.poll()
        if self._follower.snapshot is None:
            failed = PermanentError if self._follower.lasting else RetryableError
            raise failed(f"there is nothing to look at: {self._follower.problem}")
        return self._follower.snapshot

    @property
    def problem(self) -> str | None:
        """Why the last look at the control record failed; None when it did not."""
        return self._follower.problem

    def known(self, snapshot: Snapshot, user_id: str) -> Known:
        """What the service knows of a user. Raises DataError where the text can be no user's id."""
        try:
            check_user_id(user_id)
        except ValueError as error:
            raise DataError(str(error)) from error
        return self._lookup.know(user_id, snapshot)

    def request(self, user_id: str, limit: int, exploring: bool = False) -> Request:
        """A request for the home page. Its seed is the same each time, so that only what the user does moves items.

        exploring: take a seed by which the page explores, where the rules have any; else one by which it does not.
        """
        seeds = (f"inspect-{number}" for number in range(TRIES))
        rules = self.rules.exploration
        seed = next((seed for seed in seeds if explores(rules, seed) == exploring), "inspect")
        return Request(user_id=user_id, limit=limit, seed=seed)

    def home(self, snapshot: Snapshot, request: Request) -> Page:
        return self._recommender.home(snapshot, request)

    def explain(self, snapshot: Snapshot, request: Request, item_no: int) -> Trace:
        return self._recommender.explain(snapshot, request, item_no)

    def visit(self, snapshot: Snapshot, request: Request, known: Known) -> Visit:
        """What a page for this request is made from."""
        return begin(self._eligibility, self.rules, snapshot, known, request, self.clock())

    def send(self, user_id: str, event: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """POST an event of a user to the service's own /api/v1/events; the status and body of its answer.

        The event is a real one: it goes into the log and the session, and the next hours learn from it.
        """
        now = datetime.fromtimestamp(self.clock(), UTC)
        token = make_token("inspect", self._secret, now, hours=1, scope="service", claims=our_claims(self.settings))
        answer = self._app.test_client().post(
            "/api/v1/events",
            json={"user_id": user_id, "timestamp": now.isoformat(), **event},
            headers={"Authorization": f"Bearer {token}"},
        )
        return answer.status_code, answer.get_json(force=True)
