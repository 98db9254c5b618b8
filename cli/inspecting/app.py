"""The operators' page: a Flask app of its own, for this machine alone, never part of the public service."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, Literal

from flask import Flask, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cli.inspecting import front, views
from cli.inspecting.asking import ask, known_user
from cli.inspecting.desk import Desk
from cli.inspecting.guard import guard
from cli.inspecting.lake import Tables
from conf.errors import PermanentError, RetryableError
from conf.settings import Settings
from serving import problems
from serving.problems import Problem, bad_request, unavailable

STATIC = Path(__file__).with_name("static")
MAX_BODY_BYTES = 10_000
ITEMS_FOUND = 8
PLACES = 24


class _Event(BaseModel):
    """What the page may send: enough to see a list change."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: str = Field(min_length=1)
    item_id: str = Field(min_length=1)
    event_type: Literal["watch", "click", "not_interested"]


def create_inspect_app(
    desk: Desk, images: bool = False, settings: Callable[[], Settings] | None = None, dagster: str | None = None
) -> Flask:
    """The app over a desk, which stays its caller's to close.

    images: show the catalogue's thumbnails, which the browser loads from wherever they are; else generated covers.
    settings and dagster: see `cli.inspecting.front.register`.
    """
    app = Flask("inspect", static_folder=str(STATIC), static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    token = guard(app, images)
    tables = Tables(desk.settings.lake_root)
    page = (STATIC / "inspect.html").read_text().replace("{token}", escape(token))
    page = page.replace("{images}", "yes" if images else "no")

    @app.get("/")
    def index() -> Response:
        return Response(page, mimetype="text/html")

    @app.get("/api/state")
    def state() -> Response:
        return jsonify(views.state(desk, desk.snapshot()))

    @app.get("/api/users")
    def users() -> Response:
        return jsonify(tables.users(request.args.get("prefix", "")))

    @app.get("/api/user")
    def user() -> Response:
        snapshot, user_id = desk.snapshot(), _argument("user")
        known = known_user(desk, snapshot, user_id)
        asked = desk.request(user_id, PLACES, exploring="explore" in request.args)
        return jsonify(views.user(desk, snapshot, known, asked))

    @app.get("/api/history")
    def history() -> Response:
        artefact = desk.snapshot().artefact
        return jsonify([_past(artefact, event) for event in tables.history(_argument("user"))])

    @app.get("/api/items")
    def items() -> Response:
        snapshot, text = desk.snapshot(), request.args.get("q", "")
        hits = desk.searcher.search(snapshot, text, ITEMS_FOUND).item_no.tolist()
        exact = snapshot.artefact.item_no.get(text)
        numbers = hits if exact is None else [exact, *(hit for hit in hits if hit != exact)]
        return jsonify([views.item(snapshot.artefact, number) for number in numbers])

    @app.get("/api/why")
    def why() -> Response:
        return jsonify(ask(desk, _argument("user"), _argument("item"), batch="batch" in request.args).as_json())

    @app.post("/api/events")
    def events() -> tuple[Response, int]:
        try:
            event = _Event.model_validate_json(request.get_data())
        except ValidationError as error:
            raise bad_request(error.errors(include_url=False, include_input=False)[0]["msg"]) from None
        known_user(desk, desk.snapshot(), event.user_id)
        status, answer = desk.send(event.user_id, event.model_dump(exclude={"user_id"}))
        return jsonify(answer), status

    front.register(app, desk, settings or (lambda: desk.settings), dagster)
    problems.register(app)
    app.register_error_handler(PermanentError, _permanent)
    app.register_error_handler(RetryableError, _retryable)
    return app


def _argument(name: str) -> str:
    text = request.args.get(name, "")
    if not text:
        raise bad_request(f"{name} is missing.")
    return text


def _past(artefact: Any, event: dict[str, Any]) -> dict[str, Any]:
    number = artefact.item_no.get(event["item_id"])
    about = {"title": event["item_id"], "genres": []} if number is None else views.item(artefact, number)
    return {**about, **event, "timestamp": f"{event['timestamp']:%Y-%m-%d %H:%M:%SZ}"}


def _permanent(error: PermanentError) -> Response:
    return _answer(Problem(404, "not-found", f"{error}."))


def _retryable(error: RetryableError) -> Response:
    return _answer(unavailable(f"{error}."))


def _answer(problem: Problem) -> Response:
    return Response(json.dumps(problems.document(problem)), problem.status, mimetype="application/problem+json")
