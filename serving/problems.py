"""Errors as application/problem+json (RFC 9457)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

log = logging.getLogger(__name__)
REQUEST_ID = "topshelf.request_id"
"""Where the request's id is in the WSGI environment. It is ours: none is accepted from a client."""
RETRY_AFTER_SECONDS = 2
_PHRASES = {413: "Request Entity Too Large"}
"""Where Python's own phrase, and with it the problem's type, would differ between its versions."""


class Problem(Exception):
    """An answer that is an error. `kind` ends up in the problem's type, as /problems/KIND."""

    def __init__(self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})


def bad_request(detail: str) -> Problem:
    return Problem(400, "invalid-request", detail)


def unauthorized(detail: str) -> Problem:
    return Problem(401, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})


def unknown_item(item_id: str) -> Problem:
    return Problem(404, "unknown-item", f"There is no item {item_id!r} in the catalogue.")


def unavailable(detail: str) -> Problem:
    return Problem(503, "unavailable", detail, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def register(app: Flask) -> None:
    """Make every error of `app` a problem document."""
    app.register_error_handler(Problem, _answer)
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(Exception, _from_fault)


def document(problem: Problem) -> dict[str, str | int]:
    """The members of a problem document."""
    return {
        "type": f"/problems/{problem.kind}",
        "title": _phrase(problem.status),
        "status": problem.status,
        "detail": problem.detail,
    }


def _answer(problem: Problem) -> Response:
    return Response(
        json.dumps(document(problem), ensure_ascii=False),
        status=problem.status,
        mimetype="application/problem+json",
        headers=problem.headers,
    )


def _from_http(error: HTTPException) -> Response:
    status = error.code or 500
    kind = _phrase(status).lower().replace(" ", "-")
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After", "Location")}
    return _answer(Problem(status, kind, error.description or _phrase(status), headers))


def _phrase(status: int) -> str:
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def _from_fault(error: Exception) -> Response:
    log.error("request %s failed", request.environ.get(REQUEST_ID), exc_info=error)
    return _answer(Problem(500, "internal-server-error", "The service failed; its log has the reason."))
