"""Errors as application/problem+json (RFC 9457)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

log = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = 2


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


def _answer(problem: Problem) -> Response:
    document = {
        "type": f"/problems/{problem.kind}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    return Response(
        json.dumps(document, ensure_ascii=False),
        status=problem.status,
        mimetype="application/problem+json",
        headers=problem.headers,
    )


def _from_http(error: HTTPException) -> Response:
    status = error.code or 500
    kind = HTTPStatus(status).phrase.lower().replace(" ", "-")
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After", "Location")}
    return _answer(Problem(status, kind, error.description or HTTPStatus(status).phrase, headers))


def _from_fault(error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return _answer(Problem(500, "internal-server-error", "The service failed; its log has the reason."))
