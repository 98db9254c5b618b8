"""Rows a second of a load, beside bare clients that write the same rows in turn with it."""

from __future__ import annotations

import gc

import numpy as np
from pyspark.sql import functions as F

from bench import bare, lists
from bench.lines import emit, progress
from bench.worlds import World
from jobs.load import load
from jobs.plan import ROWS_A_TASK
from jobs.tables import PLANS
from stores.control import Control
from stores.records import encode_row


def measure_load(made: World, rows: int, rounds: int) -> None:
    """Rows/s of `jobs.load.load`, and of the plain and the tuned bare client. Who goes first changes with the round."""
    kind = made.settings.store.kind
    made.store.swap_control(None, Control.first("bench"))
    same = _rows(rows)
    peers = bare.PEERS[kind]
    rates: dict[bare.Peer | None, list[float]] = {None: [], **{peer: [] for peer in peers}}
    turn = 0
    for round_ in range(rounds + 1):  # the first one warms everybody up, and is not counted
        order = list(rates)
        for peer in order[round_ % len(order) :] + order[: round_ % len(order)]:
            turn += 1
            gc.collect()
            seconds = _load(made, rows, turn) if peer is None else bare.write(made.settings, peer, same, turn)
            if round_:
                rates[peer].append(rows / seconds)
            progress(f"load.{kind} {round_}: {rows / seconds:,.0f} rows/s, {peer.name if peer else 'jobs.load'}")
    for peer in peers:
        emit(f"load.{kind}" + (".tuned" if peer.tuned else ""), rates[None], "rows/s", rows, peer.name, rates[peer])


def _load(made: World, rows: int, turn: int) -> float:
    """Load everybody's list under the lease `turn`; returns the seconds that the ledger would have."""
    control = made.store.read_control()
    assert control is not None  # it was begun before
    made.store.swap_control(control, control.begun(turn))
    _plan(made, rows, turn)
    done = load(made.lake, made.settings, turn, 0, rows, 0, made)
    if done.written != rows:
        raise SystemExit(f"{done.written} of {rows} rows written")
    return done.seconds


def _rows(rows: int) -> list[tuple[str, bytes]]:
    bodies = lists.bodies(lists.item_numbers(np.arange(rows), 1))
    return [(lists.user_id(number), encode_row(body, 1, 0)) for number, body in enumerate(bodies)]


def _plan(made: World, rows: int, attempt: int) -> None:
    """A plan that sends everybody's list to place 0, in parts as large as `jobs.plan.save` makes them."""
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
    made.lake.append(PLANS, full.select(*PLANS.columns), ROWS_A_TASK)
