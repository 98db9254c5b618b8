"""Settings for an empty store of each kind, on the real servers."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest

from conf.settings import Scylla, Settings
from stores.base import PATIENT
from stores.cql_client import CqlClient
from stores.cql_tables import TABLES, create_tables
from stores.opening import open_store

STORES = ("embedded", "dynamodb", "scylla")
_free_keyspaces: dict[int, list[str]] = {}
"""Of the Cassandra on a port."""


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
        update["scylla"] = _scylla(request, settings.scylla, port, name)
        return settings.model_copy(update=update)
    chosen = settings.model_copy(update=update)
    with open_store(chosen) as store:
        store.create()
    return chosen


def _scylla(request: pytest.FixtureRequest, scylla: Scylla, port: int, name: str) -> Scylla:
    """A keyspace with empty tables, for this test alone.

    Making one takes Cassandra most of a second, emptying one a tenth of it: keyspaces of tests that are over go on.
    """
    free = _free_keyspaces.setdefault(port, [])
    chosen = scylla.model_copy(
        update={
            "hosts": ("127.0.0.1",),
            "port": port,
            "keyspace": free[-1] if free else name,
            "consistency": "ONE",
        }
    )
    with closing(CqlClient(chosen, PATIENT)) as client:
        if free:
            free.pop()
            for table in TABLES:
                client.query(f"TRUNCATE {chosen.keyspace}.{table}")
        else:
            create_tables(client)
    request.addfinalizer(lambda: free.append(chosen.keyspace))
    return chosen
