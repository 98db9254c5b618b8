"""The application factory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, request

from conf.rules import Rules
from conf.settings import Settings
from serving import problems
from serving.auth import Authenticator
from serving.follower import Follower
from serving.guarding import guard
from serving.headers import with_headers
from serving.keys import Keyring, jwks_path
from serving.limits import RateLimit
from serving.lookup import Lookup
from serving.memo import PageMemo
from serving.metrics import Metrics
from serving.recommender import Recommender
from serving.routes import docs, events, health, home, items, recommendations
from serving.search import Searcher
from serving.service import ANONYMOUS, EXTENSION, Service
from stores.base import Store
from stores.eventlog.base import EventLog
from stores.sessions.base import Sessions
from stores.shown.base import ShownLog

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ROUTE = "topshelf.route"
"""Where the rule that a request's address fits is in the WSGI environment."""


def create_app(
    *,
    store: Store,
    follower: Follower,
    sessions: Sessions,
    eventlog: EventLog,
    settings: Settings,
    rules: Rules,
    secret: str,
    clock: Callable[[], float],
    metrics: Metrics,
    ticks: Callable[[], float] = time.monotonic,
    searcher: Searcher | None = None,
    shown: ShownLog | None = None,
) -> Flask:
    """The service over the given parts. It opens nothing and starts nothing: that is its caller's part.

    Args:
        secret: signs and checks HS256 tokens; serving.token_previous_secret is accepted beside it.
        clock: epoch seconds.
        ticks: seconds of a clock that never goes back, for rate limits and the breaker of session writes.
        searcher: answers context=search; None: the context is not offered.
        shown: told of every page; None: nobody is.
    """
    app = Flask("serving", static_folder=None)
    # An id may hold two slashes in a row.
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.serving.max_body_bytes
    lookup = Lookup(store, sessions, settings.serving, metrics)
    memo = PageMemo(settings.serving.memo_users) if settings.serving.memo_users else None
    recommender = Recommender(lookup, rules, clock, metrics, memo)
    follower.before_serving(recommender.prepare)
    follower.when_forgotten(lambda: _seal(eventlog, shown))
    app.extensions[EXTENSION] = Service(
        recommender=recommender,
        follower=follower,
        store=store,
        sessions=sessions,
        session_writes=guard("session_write", settings.serving, metrics, ticks),
        eventlog=eventlog,
        authenticator=_authenticator(settings, secret, clock, ticks, metrics),
        limits=_limits(settings, ticks),
        settings=settings,
        clock=clock,
        metrics=metrics,
        searcher=searcher,
        shown=shown,
    )
    for topic in (recommendations, home, items, events, docs, health):
        app.register_blueprint(topic.blueprint)
    problems.register(app)
    app.url_value_preprocessor(_note_route)
    app.wsgi_app = _counted(with_headers(app.wsgi_app), metrics)  # type: ignore[method-assign, assignment]  # as Flask's documentation has it
    return app


def _seal(eventlog: EventLog, shown: ShownLog | None) -> None:
    eventlog.seal()
    if shown is not None:
        shown.seal()


def _authenticator(
    settings: Settings, secret: str, clock: Callable[[], float], ticks: Callable[[], float], metrics: Metrics
) -> Authenticator:
    serving = settings.serving
    secrets = [one for one in (secret, serving.token_previous_secret) if one is not None]
    return Authenticator(
        Keyring(secrets, jwks_path(settings), ticks, metrics),
        clock,
        leeway=serving.token_leeway_seconds,
        audience=serving.token_audience,
        issuer=serving.token_issuer,
    )


def _limits(settings: Settings, ticks: Callable[[], float]) -> dict[str, RateLimit]:
    """By scope; without a token, ANONYMOUS."""
    serving = settings.serving
    return {
        "user": RateLimit(serving.requests_per_second, serving.burst, ticks),
        "service": RateLimit(serving.service_requests_per_second, serving.service_burst, ticks),
        ANONYMOUS: RateLimit(serving.anonymous_requests_per_second, serving.anonymous_burst, ticks),
    }


def _note_route(endpoint: str | None, values: object) -> None:
    if request.url_rule is not None:
        request.environ[ROUTE] = request.url_rule.rule


def _counted(inner: WSGIApplication, metrics: Metrics) -> WSGIApplication:
    """`inner` with its answers counted and timed. At the level of WSGI, as `with_headers`."""

    def outer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        status = 500

        def start(line: str, headers: list[tuple[str, str]], *failed: Any) -> Callable[[bytes], object]:
            nonlocal status
            status = int(line[:3])
            return start_response(line, headers, *failed)

        try:
            return inner(environ, start)
        finally:
            metrics.answered(environ.get(ROUTE, "none"), status, time.perf_counter() - started)

    return outer
