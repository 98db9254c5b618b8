"""Bare clients that write the same rows to the same server: what a store is measured beside."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import lmdb
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.concurrent import execute_concurrent_with_args

from conf.settings import Settings

THREADS, CONCURRENCY, BATCH = 4, 100, 25
LMDB_BATCH = 10_000
NAMES = {
    "embedded": f"bare lmdb, {LMDB_BATCH:,} puts a transaction",
    "dynamodb": f"bare boto3 batch_write_item, {THREADS} threads",
    "scylla": f"bare scylla-driver, {CONCURRENCY} prepared inserts at once",
}
Rows = Sequence[tuple[str, bytes]]
"""User and row."""


def write(settings: Settings, rows: Rows) -> float:
    """Write the rows; returns seconds, connecting not counted."""
    kinds = {"embedded": _lmdb, "dynamodb": _boto3, "scylla": _cql}
    return kinds[settings.store.kind](settings, rows)


def dynamodb(settings: Settings) -> Any:
    """A client with boto3's defaults; DynamoDB Local takes any credentials."""
    dynamo = settings.dynamodb
    session = boto3.Session("local", "local", region_name=dynamo.region)
    return session.client("dynamodb", endpoint_url=dynamo.endpoint)


def _lmdb(settings: Settings, rows: Rows) -> float:
    with tempfile.TemporaryDirectory(dir=settings.home) as folder, lmdb.open(folder, map_size=1 << 34) as env:
        started = time.perf_counter()
        for start in range(0, len(rows), LMDB_BATCH):
            with env.begin(write=True) as txn:
                for user, row in rows[start : start + LMDB_BATCH]:
                    txn.put(user.encode() + b"\0\0", row)
        return time.perf_counter() - started


def _boto3(settings: Settings, rows: Rows) -> float:
    table, client = settings.dynamodb.table, dynamodb(settings)

    def put(start: int) -> None:
        requests: list[dict[str, Any]] = [
            {"PutRequest": {"Item": {"u": {"S": user}, "k": {"N": "0"}, "b": {"B": row}}}}
            for user, row in rows[start : start + BATCH]
        ]
        while requests:
            requests = client.batch_write_item(RequestItems={table: requests})["UnprocessedItems"].get(table, [])

    client.describe_table(TableName=table)
    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, range(0, len(rows), BATCH)))
    return time.perf_counter() - started


def _cql(settings: Settings, rows: Rows) -> float:
    scylla = settings.scylla
    profile = ExecutionProfile(consistency_level=ConsistencyLevel.ONE)
    cluster = Cluster(
        list(scylla.hosts), port=scylla.port, protocol_version=4, execution_profiles={EXEC_PROFILE_DEFAULT: profile}
    )
    with cluster, cluster.connect(scylla.keyspace) as session:
        insert = session.prepare("INSERT INTO lists (user_id, slot, row) VALUES (?, ?, ?) USING TIMESTAMP 1")
        started = time.perf_counter()
        values = ((user, 0, row) for user, row in rows)
        execute_concurrent_with_args(session, insert, values, concurrency=CONCURRENCY, raise_on_first_error=True)
        return time.perf_counter() - started
