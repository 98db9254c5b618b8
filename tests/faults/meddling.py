"""A way to a store on which reads and writes of rows can be held up; other calls pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from conf.settings import Settings
from tests.services.cql_proxy import CqlProxy, Request
from tests.services.throttling import Fault, ThrottlingProxy

Meddle = Callable[[Literal["read", "write"]], None]
"""Called before each request for rows; the request waits until it returns."""


@contextmanager
def through(settings: Settings, meddle: Meddle) -> Iterator[Settings]:
    """Settings that lead to the same store of a server, by such a way."""
    if settings.store.kind == "dynamodb":
        with _Meddling(settings.dynamodb.endpoint or "", meddle) as proxy:
            yield settings.model_copy(
                update={"dynamodb": settings.dynamodb.model_copy(update={"endpoint": proxy.endpoint})}
            )
        return
    with CqlProxy(settings.scylla.port) as cql:
        cql.rule = _rule(meddle)
        yield settings.model_copy(update={"scylla": settings.scylla.model_copy(update={"port": cql.port})})


class _Meddling(ThrottlingProxy):
    def __init__(self, upstream: str, meddle: Meddle) -> None:
        super().__init__(upstream)
        self._meddle = meddle

    def next_fault(self, operation: str) -> Fault | None:
        if operation == "Query":
            self._meddle("read")
        if operation == "BatchWriteItem":
            self._meddle("write")
        return super().next_fault(operation)


def _rule(meddle: Meddle) -> Callable[[Request], object]:
    def rule(request: Request) -> None:
        if request.query.startswith("SELECT slot"):
            meddle("read")
        if request.query.startswith("INSERT INTO") and ".lists " in request.query:
            meddle("write")

    return rule
