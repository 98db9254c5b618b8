"""The OpenAPI 3.1 document of the service. A test holds every route, parameter and answer against it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from serving.cursor import MAX_DEPTH
from serving.routes.items import DEFAULT_LIMIT as DEFAULT_SIMILAR
from serving.routes.recommendations import CONTEXTS, DEFAULT_LIMIT, MAX_TEXT
from serving.schemas import CURSOR_PATTERN, ITEM_ID, LIMIT, REQUEST_ID_EXAMPLE, SCHEMAS, USER_ID, ref

_PROBLEMS = {
    400: "A parameter or the body is wrong; `detail` names which.",
    401: "The token is missing, not valid, or has expired.",
    403: "The token's scope is not enough.",
    404: "There is no such item, or no such address.",
    410: "The lists were renewed twice since the cursor was made. Begin without one.",
    413: "The body is too large.",
    429: "The token's subject sends too many requests. Each worker counts for itself.",
    500: "The service failed; its log has the reason, beside the request's id.",
    503: "Nothing is published yet, or the event log is away.",
}
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The request's id. None is taken from a request.",
        "schema": {"type": "string", "pattern": "^req_[0-9a-f]{16}$", "examples": [REQUEST_ID_EXAMPLE]},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
    "ETag": {"description": "Send it back as If-None-Match.", "schema": {"type": "string"}},
}
_USER: list[dict[str, Any]] = [{"bearer": []}]
_SERVICE: list[dict[str, Any]] = [{"bearer": ["service"]}]
_READ = (400, 401, 429, 500, 503)


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}


def _answers(description: str, schema: dict[str, Any], problems: tuple[int, ...], status: int = 200) -> dict[str, Any]:
    """The responses of an operation."""
    good = {"description": description, "headers": _headers(), "content": {"application/json": {"schema": schema}}}
    return {str(status): good, **{str(code): {"$ref": f"#/components/responses/{code}"} for code in problems}}


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _in_path(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
_PAGE = [
    _query("context", "Where the page is shown.", {"enum": list(CONTEXTS), "default": CONTEXTS[0]}),
    _query("limit", "Items on the page.", {**LIMIT, "default": DEFAULT_LIMIT}),
    _query("q", "With `context=search`: what to search for.", {**_TEXT, "examples": ["matrix"]}),
    _query("item_id", "With `context=similar`: the item to be similar to.", {**_TEXT, "examples": ["movie_123"]}),
    _query(
        "cursor",
        "`next_cursor` of the page before, with the same context, item_id and q. All pages are of one generation and "
        f"one order, {MAX_DEPTH} items deep at most.",
        {"type": "string", "pattern": CURSOR_PATTERN},
    ),
]

_PATHS: dict[str, Any] = {
    "/api/v1/recommendations": {
        "get": {
            "operationId": "getRecommendations",
            "tags": ["Recommendations"],
            "summary": "The caller's recommendations",
            "description": "Of the caller's own list, filled up from what is popular with people like them, then with "
            "everybody. What they watched, rated or refused, and what they may not see, is left out.",
            "security": _USER,
            "parameters": _PAGE,
            "responses": _answers("A page.", ref("Recommendations"), (*_READ, 404, 410)),
        }
    },
    "/api/v1/home": {
        "get": {
            "operationId": "getHome",
            "tags": ["Recommendations"],
            "summary": "The caller's home page, in titled shelves",
            "security": _USER,
            "parameters": [_query("limit", "Items on each shelf.", {**LIMIT, "default": DEFAULT_LIMIT})],
            "responses": _answers("Shelves.", ref("Home"), _READ),
        }
    },
    "/api/v1/users/{user_id}/recommendations": {
        "get": {
            "operationId": "getUserRecommendations",
            "tags": ["For services"],
            "summary": "Any user's recommendations",
            "description": "As `/api/v1/recommendations`. The token needs the scope `service`.",
            "security": _SERVICE,
            "parameters": [_in_path("user_id", "1 to 64 bytes.", USER_ID), *_PAGE],
            "responses": _answers("A page.", ref("Recommendations"), (*_READ, 403, 404, 410)),
        }
    },
    "/api/v1/users/recommendations": {
        "post": {
            "operationId": "getUsersRecommendations",
            "tags": ["For services"],
            "summary": "The recommendations of up to 100 users",
            "description": "One user's problem spoils nobody else's answer. The token needs the scope `service`; for "
            "the rate limit each user is a request.",
            "security": _SERVICE,
            "requestBody": _body(ref("Users")),
            "responses": _answers("An answer or a problem for each.", ref("UsersAnswer"), (*_READ, 403, 413)),
        }
    },
    "/api/v1/items/{item_id}/similar": {
        "get": {
            "operationId": "getSimilarItems",
            "tags": ["Items"],
            "summary": "Items similar to one",
            "description": "The token is optional. Without one the viewer is unknown, so that the strictest filters "
            "hold, and the answer has an ETag.",
            "security": [{}, *_USER],
            "parameters": [
                _in_path("item_id", "An item of the catalogue.", ITEM_ID),
                _query("limit", "Items.", {**LIMIT, "default": DEFAULT_SIMILAR}),
            ],
            "responses": {
                **_answers("Similar items.", ref("SimilarItems"), (*_READ, 404)),
                "304": {"description": "Still what If-None-Match names.", "headers": _headers("ETag")},
            },
        }
    },
    "/api/v1/events": {
        "post": {
            "operationId": "postEvents",
            "tags": ["Events"],
            "summary": "Tell what the caller did: one event, or up to 500",
            "description": "The events are on disk before the answer, and the next answer of any worker reflects them. "
            "503: nothing was kept, send it again.",
            "security": _USER,
            "requestBody": _body({"oneOf": [ref("Event"), ref("Events")]}),
            "responses": _answers(
                "Kept.",
                {"oneOf": [ref("EventTaken"), ref("EventsTaken")]},
                (*_READ, 403, 404, 413),
                status=202,
            ),
        }
    },
    "/healthz": {
        "get": {
            "operationId": "getHealth",
            "tags": ["Operation"],
            "summary": "Is the process up?",
            "responses": _answers("It is.", ref("Alive"), (500,)),
        }
    },
    "/readyz": {
        "get": {
            "operationId": "getReadiness",
            "tags": ["Operation"],
            "summary": "Can it serve the newest generation?",
            "description": "A worker that is not ready goes on serving the generation it has.",
            "responses": _answers("It can.", ref("Ready"), (500, 503)),
        }
    },
    "/metrics": {
        "get": {
            "operationId": "getMetrics",
            "tags": ["Operation"],
            "summary": "What all workers counted, for Prometheus",
            "responses": {
                "200": {
                    "description": "Prometheus' text format.",
                    "headers": _headers(),
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                },
                "500": {"$ref": "#/components/responses/500"},
            },
        }
    },
    "/openapi.json": {
        "get": {
            "operationId": "getOpenapi",
            "tags": ["Operation"],
            "summary": "This document",
            "responses": {
                **_answers("OpenAPI 3.1.", {"type": "object"}, (500,)),
                "304": {"description": "Still what If-None-Match names.", "headers": _headers("ETag")},
            },
        }
    },
    "/docs": {
        "get": {
            "operationId": "getDocs",
            "tags": ["Operation"],
            "summary": "This document as a page",
            "responses": {
                "200": {
                    "description": "A page that loads nothing from elsewhere.",
                    "headers": _headers("ETag"),
                    "content": {"text/html": {"schema": {"type": "string"}}},
                },
                "304": {"description": "Still what If-None-Match names.", "headers": _headers("ETag")},
                "500": {"$ref": "#/components/responses/500"},
            },
        }
    },
}


def _problem(status: int, description: str) -> dict[str, Any]:
    headers = _headers("Retry-After") if status in (429, 503) else _headers()
    return {
        "description": description,
        "headers": headers,
        "content": {"application/problem+json": {"schema": ref("Problem")}},
    }


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Topshelf",
        "version": "1.0.0",
        "summary": "Recommendations worked out ahead of time, and looked up by user.",
        "description": "Everything is JSON in UTF-8. Parameters that the service does not know are ignored; wrong ones "
        "are refused. Every error is a problem document.",
        "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
    },
    "servers": [{"url": "/"}],
    "tags": [{"name": name} for name in ("Recommendations", "Items", "Events", "For services", "Operation")],
    "paths": _PATHS,
    "components": {
        "schemas": SCHEMAS,
        "headers": _HEADERS,
        "responses": {str(status): _problem(status, text) for status, text in _PROBLEMS.items()},
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "A JWT: HS256, or RS256 and ES256 where the service has public keys. `sub` is the user, "
                "`exp` is needed, `scope` is `user` (the default) or `service`; `maturity_limit`, `region` and `tier` "
                "tighten what the user may see.",
            }
        },
    },
}


@cache
def encoded() -> bytes:
    """The document as JSON."""
    return json.dumps(DOCUMENT, ensure_ascii=False, separators=(",", ":")).encode()
