"""How fast lists are published, beside bare clients on the same server in the same run.

    python -m bench.publish                       # all cases but the million
    python -m bench.publish --stores embedded --million

Cases: load.STORE (rows/s of the Spark load of a plan, and of a bare client that writes the same rows), share.STORE.N
(seconds of a whole publication of which N% of the lists changed), units and bytes a row, switch and rollback.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import replace

import click
import numpy as np
from pyspark.sql import functions as F

from bench import bare, lists
from bench.lines import emit, progress
from bench.worlds import World, world
from jobs.load import load
from jobs.rollback import roll_back
from jobs.tables import PLANS
from stores.base import ROW_OVERHEAD
from stores.control import Control, Generation
from stores.records import encode_row

STORES = ("embedded", "dynamodb", "scylla")
LOADED = {"embedded": 200_000, "dynamodb": 50_000, "scylla": 50_000}
SHARED = {"embedded": 100_000, "dynamodb": 20_000, "scylla": 20_000}
SHARES = (1, 10, 100)
SWITCHES = 20
MILLION = 1_000_000


@click.command(help=__doc__)
@click.option("--stores", default=",".join(STORES), show_default=True, help="Which stores.")
@click.option("--scale", default=1.0, show_default=True, help="Rows, as a multiple of the default.")
@click.option("--rounds", default=3, show_default=True, help="Pairs of measurements of each load.")
@click.option("--million", is_flag=True, help="Publish a million lists end to end, and nothing else.")
def main(stores: str, scale: float, rounds: int, million: bool) -> None:
    for kind in stores.split(","):
        with world(kind) as made:
            if million:
                publish_many(made, round(MILLION * scale))
                continue
            measure_load(made, max(round(LOADED[kind] * scale), 100), rounds)
        if not million:
            with world(kind) as made:
                measure_shares(made, max(round(SHARED[kind] * scale), 100))
                measure_switches(made)
    if not million:
        measure_bytes()


def measure_load(made: World, rows: int, rounds: int) -> None:
    """Rows/s of `jobs.load.load` against the bare client, in turn."""
    kind = made.settings.store.kind
    same = _rows(rows)
    mine, theirs = [], []
    for round_ in range(rounds + 1):  # the first one warms both up, and is not counted
        control = made.store.read_control()
        if control is None:
            control = Control.first("bench")
            made.store.swap_control(None, control)
        leased = control.begun(control.attempts + 1)
        made.store.swap_control(control, leased)
        _plan(made, rows, leased.attempts)
        done = load(made.lake, made.settings, leased.attempts, 0, rows, 0, made)
        if done.written != rows:
            raise SystemExit(f"{done.written} of {rows} rows written")
        seconds = bare.write(made.settings, same)
        if round_:
            mine.append(rows / done.seconds)
            theirs.append(rows / seconds)
        progress(f"load.{kind} {round_}: {rows / done.seconds:,.0f} rows/s, bare {rows / seconds:,.0f}")
    emit(f"load.{kind}", mine, "rows/s", rows, bare.NAMES[kind], theirs)


def _rows(rows: int) -> list[tuple[str, bytes]]:
    bodies = lists.bodies(lists.item_numbers(np.arange(rows), 1))
    return [(lists.user_id(number), encode_row(body, 1, 0)) for number, body in enumerate(bodies)]


def _plan(made: World, rows: int, attempt: int) -> None:
    """A plan that sends everybody's list to place 0."""
    full = lists.made(made.lake.spark, rows, 1).withColumns(
        {
            "variant": F.lit("champion"),
            "ring_position": F.lit(0),
            "generation": F.lit(attempt),
            "store_id": F.lit("bench"),
            "hour": F.lit("2026-01-01 00:00:00").cast("timestamp"),
            "why": F.lit("changed"),
            "again": F.lit(False),
        }
    )
    made.lake.append(PLANS, full.select(*PLANS.columns))


def measure_shares(made: World, users: int) -> None:
    """Seconds of a whole publication, by the share of lists that changed. The first one, of all, is not counted."""
    kind = made.settings.store.kind
    made.publish(*made.recommend(users, 0, 100))
    for version, percent in enumerate((0, *SHARES), start=1):
        hour, scored = made.recommend(users, version, percent)
        started = time.perf_counter()
        result = made.publish(hour, scored)
        seconds = time.perf_counter() - started
        progress(f"share.{kind}.{percent}: {seconds:.1f} s, {result.written:,} rows, load {result.load_seconds:.1f} s")
        emit(f"share.{kind}.{percent}", [seconds], "s", result.written)
        if result.units and result.written:
            emit(
                f"units.{kind}.{percent}", [result.units / result.written], "write units a changed user", result.written
            )
    if kind == "dynamodb":
        _read_units(made)


def _read_units(made: World) -> None:
    """Read units of the query behind a look-up of a user with three lists, as the server charges them."""
    answer = bare.dynamodb(made.settings).query(
        TableName=made.settings.dynamodb.table,
        KeyConditionExpression="u = :u AND k BETWEEN :first AND :last",
        ExpressionAttributeValues={":u": {"S": lists.user_id(0)}, ":first": {"N": "0"}, ":last": {"N": "2"}},
        ReturnConsumedCapacity="TOTAL",
    )
    emit("units.dynamodb.lookup", [answer["ConsumedCapacity"]["CapacityUnits"]], "read units", answer["Count"])


def measure_switches(made: World) -> None:
    """Milliseconds of a switch, and of a whole rollback by one generation."""
    kind, store = made.settings.store.kind, made.store
    switches, rollbacks = [], []
    control = store.read_control()
    assert control is not None  # lists were published before
    for _ in range(SWITCHES):
        leased = control.begun(control.attempts + 1)
        store.swap_control(control, leased)
        number = leased.attempts
        after = leased.switched(Generation(number, made.artefact_id, "bench", "2026-02-01T00:00Z", "2026-02-01T01:00Z"))
        started = time.perf_counter()
        store.swap_control(leased, after)
        switches.append((time.perf_counter() - started) * 1000)
        # What was bad once would have to be counted: the generation before is a fresh one each time.
        clean = replace(after, version=after.version + 1, bad=())
        store.swap_control(after, clean)
        started = time.perf_counter()
        control = roll_back(made.settings, made.settings.lake_root, store, None).after
        rollbacks.append((time.perf_counter() - started) * 1000)
    emit(f"switch.{kind}", switches, "ms", SWITCHES)
    emit(f"rollback.{kind}", rollbacks, "ms", SWITCHES)


def measure_bytes() -> None:
    """Bytes of a row of 150 items with key and names, for a user_id as long as a UUID and for the longest."""
    row = encode_row(lists.bodies(lists.item_numbers(np.arange(1), 1))[0], 1, 0)
    for length in (36, 64):
        emit(f"bytes.row.{length}", [len(row) + ROW_OVERHEAD + length], "bytes", 150)


def publish_many(made: World, users: int) -> None:
    """Publish everybody's list end to end, and once more with one in a hundred changed."""
    kind = made.settings.store.kind
    for version, percent in ((0, 100), (1, 1)):
        hour, scored = made.recommend(users, version, percent)
        started = time.perf_counter()
        result = made.publish(hour, scored)
        seconds = time.perf_counter() - started
        case = f"million.{kind}.{percent}"
        emit(f"{case}.seconds", [seconds], "s", result.written)
        emit(f"{case}.load", [result.written / result.load_seconds], "rows/s", result.written)
    emit(f"million.{kind}.rows", [made.store.count()], "rows", users)
    emit(f"million.{kind}.memory", [_peak_mb()], "MB, the largest single process", users)


def _peak_mb() -> float:
    usage: Sequence[int] = [
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return max(usage) / 1024


if __name__ == "__main__":
    main()
