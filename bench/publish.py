"""How fast lists are published, beside bare clients on the same server in the same run.

\b
    python -m bench.publish                                   # all cases but the million
    python -m bench.publish --stores embedded --million       # a million lists end to end

Prints JSON lines; progress goes to standard error. Cases: load.STORE (rows/s of the Spark load of a plan, beside a
bare client that writes the same rows; load.STORE.tuned: beside one with better options), share.STORE.N (seconds of a
whole publication of which N% of the lists changed; 0: what an hour costs in which nothing did), units.STORE.N and
units.dynamodb.lookup (what the store charges), switch.STORE, rollback.STORE, and row.bytes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import click
import numpy as np

from bench import lists
from bench.lines import emit, progress
from bench.loads import measure_load
from bench.million import parts, publish_many
from bench.worlds import World, workshop, world
from jobs.rollback import roll_back
from stores.base import PATIENT, RING, ROW_OVERHEAD, Store
from stores.control import Control
from stores.dynamodb_client import DynamoClient
from stores.generation import Generation
from stores.records import encode_row

STORES = ("embedded", "dynamodb", "scylla")
LOADED = {"embedded": 200_000, "dynamodb": 50_000, "scylla": 50_000}
SHARED = {"embedded": 100_000, "dynamodb": 20_000, "scylla": 20_000}
SHARES = (0, 1, 10, 100)
SWITCHES = 20
FAR = 5
LOOKED_UP = 20
MILLION = 1_000_000


def _stores(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    kinds = tuple(value.split(","))
    if unknown := set(kinds) - set(STORES):
        raise click.BadParameter(f"there is no store {', '.join(sorted(unknown))}; there are {', '.join(STORES)}")
    return kinds


@click.command(help=__doc__)
@click.option("--stores", callback=_stores, default=",".join(STORES), show_default=True, help="Which stores.")
@click.option("--rows", type=click.IntRange(min=100), help="Lists of each load and publication, instead of the usual.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Pairs of loads.")
@click.option("--million", is_flag=True, help="Publish a million lists (or --rows) end to end, and nothing else.")
def main(stores: Sequence[str], rows: int | None, rounds: int, million: bool) -> None:
    with workshop() as (spark, folder):
        for kind in stores:
            if million:
                with world(kind, spark, folder) as made:
                    publish_many(made, rows or MILLION)
                continue
            with world(kind, spark, folder) as made:
                measure_load(made, rows or LOADED[kind], rounds)
            with world(kind, spark, folder) as made:
                measure_shares(made, rows or SHARED[kind], SHARES)
                measure_far_rollbacks(made)
                measure_switches(made)
    if not million:
        measure_bytes()


def measure_shares(made: World, users: int, shares: Sequence[int]) -> None:
    """Seconds of a whole publication, by the share of lists that changed. The first one, of all, is not counted."""
    kind = made.settings.store.kind
    made.publish(*made.recommend(users, 0, 100))
    for version, percent in enumerate(shares, start=1):
        hour, scored = made.recommend(users, version, percent)
        started = time.perf_counter()
        result = made.publish(hour, scored)
        seconds = time.perf_counter() - started
        took = ", ".join(f"{part} {part_seconds:.1f}" for part, part_seconds in parts(made, result).items())
        progress(f"share.{kind}.{percent}: {seconds:.1f} s ({took}), {result.written:,} rows")
        emit(f"share.{kind}.{percent}", [seconds], "s", result.written)
        if kind == "dynamodb" and result.changed:
            emit(
                f"units.{kind}.{percent}", [result.units / result.changed], "write units a changed user", result.changed
            )
    if kind == "dynamodb":
        _read_units(made, users)


def _read_units(made: World, users: int) -> None:
    """Read units of look-ups, as the server charges them for the query that `DynamoStore.ring` makes."""
    client = DynamoClient(made.settings.dynamodb, PATIENT)
    charged = []
    for number in range(0, users, -(-users // LOOKED_UP)):
        answer = client.repeat(
            "query",
            TableName=client.table,
            KeyConditionExpression="u = :u AND k BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":u": {"S": lists.user_id(number)},
                ":first": {"N": "0"},
                ":last": {"N": str(RING - 1)},
            },
            ProjectionExpression="k, b",
            ReturnConsumedCapacity="TOTAL",
        )
        if not answer["Count"]:
            raise SystemExit(f"{lists.user_id(number)} has no list")
        charged.append(answer["ConsumedCapacity"]["CapacityUnits"])
    client.close()
    emit("units.dynamodb.lookup", charged, "read units", len(charged))


def measure_switches(made: World) -> None:
    """Milliseconds of a switch, and of a whole rollback by one generation.

    The generations are empty ones: neither a switch nor a rollback by one looks at a list.
    """
    kind, store = made.settings.store.kind, made.store
    switches, rollbacks = [], []
    control = _control(store)
    for _ in range(SWITCHES):
        leased = control.begun(control.attempts + 1)
        store.swap_control(control, leased)
        number = leased.attempts
        after = leased.switched(Generation(number, made.artefact_id, "bench", "2026-02-01T00:00Z", "2026-02-01T01:00Z"))
        started = time.perf_counter()
        store.swap_control(leased, after)
        switches.append((time.perf_counter() - started) * 1000)
        started = time.perf_counter()
        rolled_back = roll_back(made.settings, made.lake.root, store, None).after
        rollbacks.append((time.perf_counter() - started) * 1000)
        # With a bad generation between, the next rollback would look into the plans: that is rollback.STORE.far.
        control = replace(rolled_back, version=rolled_back.version + 1, bad=())
        store.swap_control(rolled_back, control)
    emit(f"switch.{kind}", switches, "ms", SWITCHES)
    emit(f"rollback.{kind}", rollbacks, "ms", SWITCHES)


def measure_far_rollbacks(made: World) -> None:
    """Milliseconds of a whole rollback to the oldest generation, for which users left without a list are counted."""
    took = []
    for _ in range(FAR):
        before = _control(made.store)
        started = time.perf_counter()
        change = roll_back(made.settings, made.lake.root, made.store, before.live[-1].number, force=True)
        took.append((time.perf_counter() - started) * 1000)
        made.store.swap_control(change.after, replace(before, version=change.after.version + 1))
    emit(f"rollback.{made.settings.store.kind}.far", took, "ms", FAR)


def _control(store: Store) -> Control:
    control = store.read_control()
    assert control is not None  # something was published before
    return control


def measure_bytes() -> None:
    """Bytes of a row of 150 items with key and names, for a user_id as long as a UUID and for the longest."""
    row = encode_row(lists.bodies(lists.item_numbers(np.arange(1), 1))[0], 1, 0)
    for length in (36, 64):
        emit(f"row.bytes.{length}", [len(row) + ROW_OVERHEAD + length], "bytes", 150)


if __name__ == "__main__":
    main()
