"""Settings for an empty store of each kind, on the real servers."""

from __future__ import annotations

import uuid

import pytest

from conf.settings import Settings
from stores.opening import open_store

STORES = ("embedded", "dynamodb", "scylla")


def settings_for(request: pytest.FixtureRequest, settings: Settings, kind: str | None = None) -> Settings:
    """`settings` with a store of `kind` (default: the test's parameter) that nothing was written to, tables made.

    Each call has a table, or a keyspace, of its own on the suite's one server of that kind.
    """
    kind = kind or request.param
    name = f"t{uuid.uuid4().hex[:12]}"
    update: dict[str, object] = {"store": settings.store.model_copy(update={"kind": kind})}
    if kind == "dynamodb":
        endpoint = request.getfixturevalue("dynamodb_server")
        update["dynamodb"] = settings.dynamodb.model_copy(update={"endpoint": endpoint, "table": name})
    if kind == "scylla":
        port = request.getfixturevalue("cassandra_server")
        update["scylla"] = settings.scylla.model_copy(
            update={"hosts": ("127.0.0.1",), "port": port, "keyspace": name, "consistency": "ONE"}
        )
    chosen = settings.model_copy(update=update)
    with open_store(chosen) as store:
        store.create()
    return chosen
