"""Bare clients that write the same rows to the same server: what a store is measured beside.

Each comes plain, as its documentation shows it, and tuned, with what one process can get out of it by its options.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import boto3
import lmdb
from botocore.config import Config
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.policies import RoundRobinPolicy, TokenAwarePolicy

from conf.settings import Settings

BATCH = 25
LMDB_BATCH = 10_000
MAP_BYTES = 1 << 34
Rows = Sequence[tuple[str, bytes]]
"""User and row."""


@dataclass(frozen=True)
class Peer:
    name: str
    tuned: bool
    at_once: int
    """Threads, requests or, of LMDB, puts a transaction."""


PEERS = {
    "embedded": (
        Peer(f"bare lmdb, {LMDB_BATCH:,} puts a transaction", False, LMDB_BATCH),
        Peer(f"bare lmdb, putmulti of {LMDB_BATCH:,}", True, LMDB_BATCH),
    ),
    "dynamodb": (
        Peer("bare boto3 batch_write_item, 4 threads", False, 4),
        Peer("bare boto3 batch_write_item, 16 threads, unvalidated", True, 16),
    ),
    "scylla": (
        Peer("bare scylla-driver, 100 prepared inserts at once", False, 100),
        Peer("bare scylla-driver, 512 prepared inserts at once, token-aware", True, 512),
    ),
}
"""By store.kind: the plain one, then the tuned one."""


def write(settings: Settings, peer: Peer, rows: Rows, turn: int) -> float:
    """Write the rows; returns seconds, connecting not counted.

    turn: rises with every write to the server, whoever does it: a CQL write of an earlier turn would be passed over.
    """
    kinds = {"embedded": _lmdb, "dynamodb": _boto3, "scylla": _cql}
    return kinds[settings.store.kind](settings, peer, rows, turn)


def _lmdb(settings: Settings, peer: Peer, rows: Rows, turn: int) -> float:
    # A file of its own that stays, as the store's does: from the second time on, rows take the place of others.
    folder = settings.home / ("bare-tuned" if peer.tuned else "bare")
    with lmdb.open(str(folder), map_size=MAP_BYTES) as env:
        started = time.perf_counter()
        pending = ((user.encode() + b"\0\0", row) for user, row in rows)
        while batch := list(islice(pending, peer.at_once)):
            with env.begin(write=True) as txn:
                if peer.tuned:
                    txn.cursor().putmulti(batch)
                else:
                    for key, row in batch:
                        txn.put(key, row)
        return time.perf_counter() - started


def _boto3(settings: Settings, peer: Peer, rows: Rows, turn: int) -> float:
    dynamo = settings.dynamodb
    tuning = Config(max_pool_connections=peer.at_once, parameter_validation=False) if peer.tuned else None
    # DynamoDB Local takes any credentials.
    session = boto3.Session("local", "local", region_name=dynamo.region)

    def put(start: int) -> None:
        requests: list[dict[str, Any]] = [
            {"PutRequest": {"Item": {"u": {"S": user}, "k": {"N": "0"}, "b": {"B": row}}}}
            for user, row in rows[start : start + BATCH]
        ]
        while requests:
            answer = client.batch_write_item(RequestItems={dynamo.table: requests})
            requests = answer["UnprocessedItems"].get(dynamo.table, [])

    with closing(session.client("dynamodb", endpoint_url=dynamo.endpoint, config=tuning)) as client:
        client.describe_table(TableName=dynamo.table)
        started = time.perf_counter()
        with ThreadPoolExecutor(peer.at_once) as pool:
            list(pool.map(put, range(0, len(rows), BATCH)))
        return time.perf_counter() - started


def _cql(settings: Settings, peer: Peer, rows: Rows, turn: int) -> float:
    scylla = settings.scylla
    more = {"load_balancing_policy": TokenAwarePolicy(RoundRobinPolicy())} if peer.tuned else {}
    consistency = ConsistencyLevel.name_to_value[scylla.consistency]
    profiles = {EXEC_PROFILE_DEFAULT: ExecutionProfile(consistency_level=consistency, **more)}
    cluster = Cluster(list(scylla.hosts), port=scylla.port, protocol_version=4, execution_profiles=profiles)
    with cluster, cluster.connect(scylla.keyspace) as session:
        insert = session.prepare("INSERT INTO lists (user_id, slot, row) VALUES (?, ?, ?) USING TIMESTAMP ?")
        started = time.perf_counter()
        values = ((user, 0, row, turn) for user, row in rows)
        execute_concurrent_with_args(session, insert, values, concurrency=peer.at_once, raise_on_first_error=True)
        return time.perf_counter() - started
