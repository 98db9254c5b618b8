"""What the tests of the CQL store have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from stores.base import Row, Timeouts
from stores.control import Control
from stores.scylla import ScyllaStore
from tests.services.cql_proxy import Request

PATIENT = Timeouts(connect=10, read=10, retries=4)
HASTY = Timeouts(connect=10, read=0.3, retries=0)


def take_lease(store: ScyllaStore, attempt: int) -> None:
    held = store.read_control()
    if held is None:
        store.swap_control(None, held := Control.first("a-store"))
    store.swap_control(held, replace(held, version=held.version + 1, attempts=attempt, lease=attempt))


def rows_of(*users: str, blob: bytes = b"row") -> list[Row]:
    return [Row(user, 0, 0, blob) for user in users]


def refuse(start: str, answers: list[object]) -> Callable[[Request], object]:
    """A rule: what `answers` has, once each, for prepared requests that begin with `start`."""
    return lambda request: answers.pop(0) if answers and request.query.startswith(start) else None
