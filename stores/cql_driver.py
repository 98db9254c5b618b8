"""How the CQL driver is set up: scylla-driver, the same for ScyllaDB and for Cassandra.

It runs on its best reactor that is there (libev; asyncio where the C extension is missing), speaks protocol 4, which
is the newest that both speak, and sends a request to a replica of its partition in the nearest data centre. On
ScyllaDB the driver by itself opens a connection a shard and takes the partition's; that is its documented behaviour,
and not tested here: the tests run on Cassandra.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, DefaultConnection, ExecutionProfile
from cassandra.connection import Timer
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    FallthroughRetryPolicy,
    TokenAwarePolicy,
)
from cassandra.query import tuple_factory

from conf.errors import ConfigError
from conf.settings import Scylla
from stores.base import Timeouts
from stores.cql_errors import place

PROTOCOL = 4
CONNECT_SECONDS = 5.0
"""What the driver gives one connection at least, however briefly callers wait: a handshake takes what it takes."""
HEARTBEAT_SECONDS = 5.0
"""A connection that is silent for this long is asked for a sign of life, and given up after as long again."""
REACTOR_SECONDS = 1.0
RECONNECT_SECONDS = (0.5, 10.0)
"""Between tries to reach a node that is down: at first, and at most."""


class _Connection(DefaultConnection):  # type: ignore[misc]  # the driver has no types
    """As the driver's, with two of its habits left out."""

    @classmethod
    def handle_fork(cls) -> None:
        """Leave the parent's connections alone: to end them in the child waits for locks that the parent held."""

    @classmethod
    def create_timer(cls, timeout: float, callback: Callable[[], None]) -> Any:
        """Time-outs are waited for by whoever has one (see CqlClient): on account of one that was cancelled, libev's
        thread would outlive its connections, and the end of the process wait five seconds for it."""
        return Timer(timeout, callback) if timeout else super().create_timer(timeout, callback)


class _Telling(logging.Filter):
    """Lets pass what no exception of ours says: nodes that go and come, not each failed try with its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = str(record.msg)
        return not (record.exc_info or any(words in text for words in _RAISED_OR_HARMLESS))


_RAISED_OR_HARMLESS = ("reconnect", "authenticate", "could not be joined")
_telling = _Telling()


def quieten_driver() -> None:
    """Keep the driver from logging what is raised as well. Loggers of others, the root among them, stay as they are."""
    for name in ("cluster", "connection", "pool", "io.libevreactor"):
        logging.getLogger(f"cassandra.{name}").addFilter(_telling)


def wait_for_reactor() -> None:
    """Before the process ends, and once all connections have: libev's own way of stopping its thread is to wait five
    seconds unless it has stopped by then."""
    for thread in threading.enumerate():
        if thread.name == "event_loop":
            thread.join(REACTOR_SECONDS)


def make_cluster(settings: Scylla, timeouts: Timeouts) -> Any:
    """The driver's Cluster, not yet connected."""
    nearest = DCAwareRoundRobinPolicy(settings.datacenter or "")
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(nearest),
        # Tries are counted, and waited between, in this package: the driver knows nothing of a caller's time.
        retry_policy=FallthroughRetryPolicy(),
        row_factory=tuple_factory,
    )
    login = None if settings.username is None else PlainTextAuthProvider(settings.username, settings.password or "")
    seconds = max(timeouts.connect, CONNECT_SECONDS)
    return Cluster(
        settings.hosts,
        port=settings.port,
        protocol_version=PROTOCOL,
        connection_class=_Connection,
        compression=False,  # quantised lists do not get smaller
        auth_provider=login,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        connect_timeout=seconds,
        control_connection_timeout=seconds,
        reconnection_policy=ExponentialReconnectionPolicy(*RECONNECT_SECONDS),
        idle_heartbeat_interval=HEARTBEAT_SECONDS,
        idle_heartbeat_timeout=HEARTBEAT_SECONDS,
    )


def check_datacenter(settings: Scylla, cluster: Any) -> None:
    """Raises ConfigError when the nodes that were found have no such data centre as the settings'."""
    known = {host.datacenter for host in cluster.metadata.all_hosts() if host.datacenter}
    if settings.datacenter is not None and known and settings.datacenter not in known:
        raise ConfigError(
            f"the CQL store at {place(settings)} has no data centre {settings.datacenter}, but "
            f"{', '.join(sorted(known))}: correct scylla.datacenter"
        )
