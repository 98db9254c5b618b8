"""What a look-up in DynamoDB costs beside boto3's plain get_item of the same row from the same server."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import boto3

from bench import catalogue
from bench.lines import emit, progress
from bench.worlds import served
from conf.loading import load
from conf.settings import Settings
from stores.base import choose
from stores.opening import open_reader, open_store

USERS, ITEMS, LOOKUPS, SEED = 500, 5000, 1000, 7
OVERRIDES = ("store.kind=dynamodb", "serving.answer_ms=9000", "serving.list_ms=5000")
"""Look-ups that are late on a busy machine count, too."""


def measure_lookups(rounds: int) -> None:
    """A look-up, the row decoded and chosen, and a bare get_item of one row, in turn."""
    with (
        tempfile.TemporaryDirectory(prefix="topshelf-bench-") as folder,
        served("dynamodb", Path(folder) / "server") as address,
    ):
        settings = load({**os.environ, "TOPSHELF_HOME": folder}, [*OVERRIDES, *address]).settings
        progress(f"publishing {USERS} lists to DynamoDB Local")
        with open_store(settings) as store:
            store.create()
            catalogue.publish(store, "none", USERS, ITEMS, SEED)
        _measure(settings, rounds)


def _measure(settings: Settings, rounds: int) -> None:
    dynamo = settings.dynamodb
    client = boto3.Session("local", "local", region_name=dynamo.region).client("dynamodb", endpoint_url=dynamo.endpoint)
    with open_reader(settings) as store:
        control = store.read_control()
        assert control is not None

        def ours(user_id: str) -> bool:
            return choose(store.ring(user_id), control) is not None

        def theirs(user_id: str) -> bool:
            return "Item" in client.get_item(TableName=dynamo.table, Key={"u": {"S": user_id}, "k": {"N": "0"}})

        pairs = [(_milliseconds(ours), _milliseconds(theirs)) for _ in range(rounds)]
    for label, which in (("", 0), (".cpu", 1)):
        mine, bare = [ours[which] for ours, _ in pairs], [theirs[which] for _, theirs in pairs]
        emit(f"lookup.dynamodb{label}", mine, "ms", LOOKUPS, "boto3 get_item", bare)


def _milliseconds(look_up: Callable[[str], bool]) -> tuple[float, float]:
    """Of the clock, and of this process's CPU: what is left of a machine that the server has to share."""
    users = [catalogue.user_id(number % USERS) for number in range(LOOKUPS)]
    started, spent = time.perf_counter(), time.process_time()
    assert all(map(look_up, users))
    taken = time.perf_counter() - started, time.process_time() - spent
    return 1000 * taken[0] / LOOKUPS, 1000 * taken[1] / LOOKUPS
