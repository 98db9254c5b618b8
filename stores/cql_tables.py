"""The keyspace and its two tables: making them, and finding out whether a publication could be written to them.

`lists` has one opaque value a row, since a plain CQL write of several is not isolated. In `control`, `mark` is of one
`swap_control` alone, so that a writer whose answer was lost can tell its own record from another's that is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cassandra import ConsistencyLevel

from stores.base import StoreMisshaped, StoreMissing
from stores.cql_client import CqlClient, Statement
from stores.cql_errors import Refused, place

TABLES = {
    "lists": "user_id text, slot tinyint, row blob, PRIMARY KEY (user_id, slot)",
    "control": "name text PRIMARY KEY, version bigint, record text, mark text",
}
COLUMNS = {
    "lists": {
        "user_id": "partition_key text",
        "slot": "clustering tinyint",
        "row": "regular blob",
    },
    "control": {
        "name": "partition_key text",
        "version": "regular bigint",
        "record": "regular text",
        "mark": "regular text",
    },
}
"""As `system_schema.columns` has them."""
DEFINE_SECONDS = 60.0
PROBE = Statement(
    "UPDATE {keyspace}.control SET version = 0 WHERE name = 'probe' IF version = -1",
    ConsistencyLevel.LOCAL_QUORUM,
    ConsistencyLevel.LOCAL_SERIAL,
)
"""Asks for all that a swap asks for, and is never applied."""


def create_tables(client: CqlClient) -> None:
    """Make what is missing of the keyspace and its tables.

    Raises:
        StoreMisshaped: a table has other columns, or its rows expire.
        ConfigError: the server does not take scylla.replication or scylla.compaction.
        StoreDenied, StoreUnavailable: as for every call.
    """
    settings = client.settings
    missing = set(TABLES) - _tables_there(client)
    if not missing:
        return
    if _replication(client) is None:
        client.define(
            f"CREATE KEYSPACE IF NOT EXISTS {settings.keyspace} WITH replication = {_map(settings.replication)}",
            DEFINE_SECONDS,
        )
    for name in sorted(missing):
        client.define(
            f"CREATE TABLE IF NOT EXISTS {settings.keyspace}.{name} ({TABLES[name]}) "
            f"WITH compaction = {_map(settings.compaction)}",
            DEFINE_SECONDS,
        )


def require_tables(client: CqlClient) -> None:
    """Look whether both tables are there, as they should be.

    Raises:
        StoreMissing, StoreMisshaped: they are not.
    """
    keyspace = client.settings.keyspace
    missing = sorted(set(TABLES) - _tables_there(client))
    if missing:
        raise StoreMissing(
            f"the CQL store at {place(client.settings)} has no table {keyspace}.{missing[0]} yet: "
            "`topshelf store create` makes it"
        )


def check_tables(client: CqlClient) -> str:
    """See `Store.check`."""
    settings = client.settings
    require_tables(client)
    try:
        client.execute(PROBE)
    except Refused as error:
        if "tablets" not in str(error):
            raise
        raise StoreMisshaped(
            f"{error}. Make keyspace {settings.keyspace} anew by hand, with AND tablets = {{'enabled': false}}; "
            "`topshelf store create` then adds the tables"
        ) from error
    hosts = client.cluster.metadata.all_hosts()
    replication = _replication(client) or {}
    return (
        f"CQL store at {place(settings)}, {_server(client)}: {_nodes(hosts)}; keyspace {settings.keyspace}, "
        f"{_in_words(replication)}{shortage(replication, hosts)}"
    )


def _tables_there(client: CqlClient) -> set[str]:
    """Those of the tables that are there, and are as they should be."""
    keyspace = client.settings.keyspace
    found: dict[str, dict[str, str]] = {}
    for table, column, kind, type_ in client.query(
        "SELECT table_name, column_name, kind, type FROM system_schema.columns WHERE keyspace_name = %s", keyspace
    ):
        found.setdefault(table, {})[column] = f"{kind} {type_}"
    for table in found.keys() & COLUMNS.keys():
        if found[table] != COLUMNS[table]:
            raise StoreMisshaped(
                f"table {keyspace}.{table} has the columns {_columns(found[table])}, not {_columns(COLUMNS[table])}: "
                "choose another name for scylla.keyspace, or drop that table"
            )
    for table, seconds in client.query(
        "SELECT table_name, default_time_to_live FROM system_schema.tables WHERE keyspace_name = %s", keyspace
    ):
        if table in COLUMNS and seconds:
            raise StoreMisshaped(
                f"rows of table {keyspace}.{table} expire after {seconds} s, which would leave users without a list: "
                f"ALTER TABLE {keyspace}.{table} WITH default_time_to_live = 0"
            )
    return found.keys() & COLUMNS.keys()


def _replication(client: CqlClient) -> dict[str, str] | None:
    """None where there is no keyspace."""
    rows = client.query(
        "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s", client.settings.keyspace
    )
    return dict(rows[0][0]) if rows else None


def _server(client: CqlClient) -> str:
    if client.cluster.is_shard_aware():
        return "ScyllaDB"
    versions = {host.release_version for host in client.cluster.metadata.all_hosts()}
    return "Cassandra " + " and ".join(sorted(filter(None, versions)))


def _nodes(hosts: list[Any]) -> str:
    up = sum(bool(host.is_up) for host in hosts)
    centres = sorted({str(host.datacenter) for host in hosts})
    return f"{up} of {len(hosts)} nodes in use, in {', '.join(centres)}"


def shortage(replication: Mapping[str, str], hosts: list[Any]) -> str:
    """A warning where some data centre has fewer nodes in use than it is to hold copies; empty otherwise."""
    short = []
    for centre, copies in replication.items():
        if centre in {"class", "replication_factor"} or not copies.isdigit():
            continue
        there = [host for host in hosts if host.datacenter == centre]
        up = sum(host.is_up is not False for host in there)
        if up < int(copies):
            short.append(f"{centre} is to hold {copies} copies and has {up} nodes up")
    total = replication.get("replication_factor", "0")
    if total.isdigit() and len(hosts) < int(total):
        short.append(f"{total} copies are asked for and there are {len(hosts)} nodes")
    return f"; warning: {'; '.join(short)}" if short else ""


def _in_words(replication: Mapping[str, str]) -> str:
    strategy = replication.get("class", "").rpartition(".")[2]
    return " ".join([strategy, *(f"{key}={value}" for key, value in sorted(replication.items()) if key != "class")])


def _columns(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({columns[name].replace('_', ' ')})" for name in sorted(columns))


def _map(options: Mapping[str, str | int]) -> str:
    """A CQL map of texts."""
    quoted = (f"'{_quoted(key)}': '{_quoted(str(value))}'" for key, value in options.items())
    return f"{{{', '.join(quoted)}}}"


def _quoted(text: str) -> str:
    return text.replace("'", "''")
