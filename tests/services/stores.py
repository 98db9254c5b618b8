"""Settings for an empty store, session store and event log of each kind, on the real servers."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest

from conf.settings import Scylla, Settings
from stores.base import PATIENT
from stores.cql_client import CqlClient
from stores.cql_tables import TABLES, create_tables
from stores.eventlog.kafka import create_topic
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


def session_settings(request: pytest.FixtureRequest, settings: Settings, kind: str) -> Settings:
    """`settings` with an empty session store of `kind`: embedded, or keys of their own on the suite's Redis."""
    update: dict[str, object] = {"sessions": settings.sessions.model_copy(update={"kind": kind})}
    if kind == "redis":
        port = request.getfixturevalue("redis_server")
        mine = {"url": f"redis://127.0.0.1:{port}/0", "prefix": f"{uuid.uuid4().hex}:", "connect_ms": 2000}
        update["redis"] = settings.redis.model_copy(update={**mine, "write_ms": 2000})
        update["serving"] = settings.serving.model_copy(update={"session_ms": 2000})
    return settings.model_copy(update=update)


def eventlog_settings(request: pytest.FixtureRequest, settings: Settings, kind: str, partitions: int = 2) -> Settings:
    """`settings` with an empty event log of `kind`: embedded, or a topic of its own on the suite's Kafka."""
    update: dict[str, object] = {"eventlog": settings.eventlog.model_copy(update={"kind": kind})}
    if kind == "kafka":
        port = request.getfixturevalue("kafka_server")
        mine = {"brokers": f"127.0.0.1:{port}", "topic": f"t{uuid.uuid4().hex}", "partitions": partitions}
        kafka = settings.kafka.model_copy(update={**mine, "timeout_ms": 10_000})
        create_topic(kafka)
        update["kafka"] = kafka
    return settings.model_copy(update=update)
