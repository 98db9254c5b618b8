"""An empty keyspace for each test that asks for one, on the suite's one Cassandra, and ways to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from conf.settings import Scylla, Settings
from stores.cql_client import CqlClient
from stores.scylla import ScyllaStore
from tests.services.cql_proxy import CqlProxy
from tests.services.stores import settings_for
from tests.stores.cql.helpers import PATIENT

Open = Callable[..., ScyllaStore]


@pytest.fixture
def scylla(request: pytest.FixtureRequest, settings: Settings) -> Scylla:
    """A keyspace with empty tables."""
    return settings_for(request, settings, "scylla").scylla


@pytest.fixture
def proxy(scylla: Scylla) -> Iterator[CqlProxy]:
    with CqlProxy(scylla.port) as proxy:
        yield proxy


@pytest.fixture
def open_cql(scylla: Scylla) -> Iterator[Open]:
    opened = []

    def open_cql(timeouts=PATIENT, via=None, rows_in_flight=64, patience=20.0, **changes):
        settings = scylla.model_copy(update={"port": via.port if via else scylla.port, **changes})
        opened.append(ScyllaStore(settings, timeouts, rows_in_flight, patience))
        return opened[-1]

    yield open_cql
    for store in opened:
        store.close()


@pytest.fixture
def client(scylla: Scylla) -> Iterator[CqlClient]:
    """For looking into the tables."""
    client = CqlClient(scylla, PATIENT)
    yield client
    client.close()


@pytest.fixture
def bare(scylla: Scylla, client: CqlClient) -> Iterator[Scylla]:
    """A keyspace of its own that is not there yet; dropped afterwards."""
    bare = scylla.model_copy(update={"keyspace": f"{scylla.keyspace}_bare"})
    yield bare
    client.define(f"DROP KEYSPACE IF EXISTS {bare.keyspace}", 60)
