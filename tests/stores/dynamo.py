"""Ways to a DynamoDB table that is busy, slow or denied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from conf.settings import Dynamodb
from stores.base import PATIENT, Row, Timeouts
from stores.control import Control
from stores.dynamodb import DynamoStore
from tests.services.throttling import ThrottlingProxy

BRIEF = Timeouts(connect=0.2, read=0.3, retries=0)
"""As the service waits, with some more for a busy machine."""
FIRST = Control.first("a-store")
LOADING = replace(FIRST, version=2, attempts=1, lease=1)


def open_at(
    dynamodb: Dynamodb, timeouts: Timeouts = PATIENT, units: float | None = None, rows_in_flight: int = 512, **more: Any
) -> DynamoStore:
    """more: clock and sleep."""
    return DynamoStore(dynamodb, timeouts, units, rows_in_flight, **more)


@contextmanager
def through(
    dynamodb: Dynamodb, timeouts: Timeouts = PATIENT, proxy: dict[str, Any] | None = None, **more: Any
) -> Iterator[tuple[DynamoStore, ThrottlingProxy]]:
    """The same table behind a proxy, and the proxy."""
    with ThrottlingProxy(dynamodb.endpoint or "", **(proxy or {})) as busy:
        endpoint = dynamodb.model_copy(update={"endpoint": busy.endpoint})
        with open_at(endpoint, timeouts, **more) as store:
            yield store, busy


def some_rows(count: int, blob: bytes = b"row") -> list[Row]:
    return [Row(f"user{number}", 0, number % 3, blob) for number in range(count)]
