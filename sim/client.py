"""The way from a simulated user to the service: plain HTTP, with the user's own token."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from http.client import HTTPConnection
from types import TracebackType
from typing import Any, NamedTuple, Protocol

TIMEOUT_SECONDS = 30.0
PAGE_ITEMS = 20


class Page(NamedTuple):
    """A home page as it was answered."""

    request_id: str
    model_version: str
    source: str
    item_ids: list[str]


class Api(Protocol):
    def home(self, user_id: str) -> Page:
        """The user's home page now."""

    def tell(self, user_id: str, events: Sequence[dict[str, Any]]) -> None:
        """What the user did. Returning means that the service has confirmed it."""


class HttpApi:
    """`Api` over one connection that is kept open. Not thread-safe.

    token: of a user_id.

    Raises:
        RuntimeError: (its methods) the service answered otherwise than with 200 or 202.
    """

    def __init__(self, host: str, port: int, token: Callable[[str], str]) -> None:
        self._connection = HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        self._token = token

    def __enter__(self) -> HttpApi:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._connection.close()

    def renew(self) -> None:
        """Have the next request open a connection of its own: the service ends those that idle."""
        self._connection.close()

    def home(self, user_id: str) -> Page:
        answer = self._ask("GET", f"/api/v1/recommendations?context=home&limit={PAGE_ITEMS}", user_id, None, 200)
        items = [item["item_id"] for item in answer["recommendations"]]
        return Page(answer["request_id"], answer["model_version"], answer["source"], items)

    def tell(self, user_id: str, events: Sequence[dict[str, Any]]) -> None:
        self._ask("POST", "/api/v1/events", user_id, {"events": list(events)}, 202)

    def _ask(self, method: str, path: str, user_id: str, body: dict[str, Any] | None, wanted: int) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token(user_id)}", "Content-Type": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
        with closing(self._connection.getresponse()) as response:
            text = response.read()
        if response.status != wanted:
            raise RuntimeError(f"{method} {path} of {user_id} got {response.status}: {text[:500].decode()}")
        answer: dict[str, Any] = json.loads(text)
        return answer
