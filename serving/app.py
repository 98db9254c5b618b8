"""The application factory."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Flask, Response, g, request

from conf.rules import Rules
from conf.settings import Settings
from serving import problems
from serving.auth import Authenticator
from serving.follower import Follower
from serving.lookup import Lookup
from serving.metrics import Metrics
from serving.recommender import Recommender
from serving.routes import events, health, items, recommendations
from serving.service import EXTENSION, Service
from stores.base import Store
from stores.eventlog.base import EventLog
from stores.sessions.base import Sessions


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
) -> Flask:
    """The service over the given parts. It opens nothing and starts nothing: that is its caller's part."""
    app = Flask("serving", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.serving.max_body_bytes
    recommender = Recommender(Lookup(store, sessions, settings.serving, metrics), rules, clock, metrics)
    authenticator = Authenticator(secret, clock)
    app.extensions[EXTENSION] = Service(
        recommender, follower, store, sessions, eventlog, authenticator, settings, clock, metrics
    )
    for topic in (recommendations, items, events, health):
        app.register_blueprint(topic.blueprint)
    problems.register(app)
    _count(app, metrics)
    return app


def _count(app: Flask, metrics: Metrics) -> None:
    def before() -> None:
        g.started = time.perf_counter()

    def after(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else "none"
        metrics.requests.labels(route, response.status_code).inc()
        metrics.seconds.labels(route).observe(time.perf_counter() - g.started)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    app.before_request(before)
    app.after_request(after)
