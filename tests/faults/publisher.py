"""A publisher that kills itself: `python -m tests.faults.publisher SETTINGS USERS`.

It starts Spark, says so, and takes from its input what to publish and where to die, as a line of JSON. It dies by
SIGKILL, always: where it is told to, or at the end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from conf.settings import Settings
from jobs import load, plan, publish
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.manifests import Scored
from jobs.spark import spark_session
from stores.base import Store
from stores.control import Control
from stores.opening import open_store
from tests.faults.publishing import Publications, interrupted
from tests.faults.world import World
from tests.jobs.publishing import NOW

POINTS = (
    "before the lease",
    "after the lease",
    "after the plan",
    "in mid-load",
    "after the load",
    "before the switch",
    "after the switch",
    "after the merge",
    "at a random moment",
)


@dataclass(frozen=True)
class Order:
    hour: int
    scored: dict[str, Any]
    point: str
    rows: int = 0
    """In mid-load: after how many of a task's rows."""
    seconds: float = 0
    """At a random moment: how long after it has begun."""
    skew: int = 0
    """Seconds that the publisher's clock is ahead."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dies_after(function: Callable[..., Any]) -> Callable[..., Any]:
    def called(*arguments: Any, **named: Any) -> None:
        function(*arguments, **named)
        die()

    return called


def dies_at_swap(store: Store, before: bool, met: Callable[[Control], bool]) -> None:
    """Die before, or after, the first change to a control record that `met` is true of."""
    swap = store.swap_control

    def swapping(expected: Control | None, new: Control) -> None:
        if before and met(new):
            die()
        swap(expected, new)
        if met(new):
            die()

    store.swap_control = swapping  # type: ignore[method-assign]


def prepare(order: Order, store: Store) -> None:
    """Have this process die at the order's point."""
    if order.point in {"before the lease", "after the lease"}:
        dies_at_swap(store, order.point.startswith("before"), lambda new: new.lease is not None)
    elif order.point in {"before the switch", "after the switch"}:
        held = store.read_control()
        current = 0 if held is None else held.current
        dies_at_swap(store, order.point.startswith("before"), lambda new: new.current != current)
    elif order.point == "after the plan":
        plan.save = dies_after(plan.save)
    elif order.point == "in mid-load":
        publisher = os.getpid()
        # The worker goes on for as long as its JVM does: a writer that outlives its attempt.
        load._rows = interrupted(order.rows, lambda: os.kill(publisher, signal.SIGKILL))
    elif order.point == "after the load":
        publish.load = dies_after(publish.load)
    elif order.point == "after the merge":
        Ledger.merge = dies_after(Ledger.merge)  # type: ignore[method-assign]
    else:
        threading.Timer(order.seconds, die).start()


def main(settings_file: str, users: str) -> None:
    with open(settings_file) as file:
        settings = Settings.model_validate_json(file.read())
    spark = spark_session(settings)
    with open_store(settings) as store:
        print("ready", flush=True)
        order = Order(**json.loads(sys.stdin.readline()))
        prepare(order, store)
        publications = Publications(Lake(spark, settings.lake_root), settings, store, World(int(users)))
        now: datetime = NOW + timedelta(seconds=order.skew)
        publications.run(order.hour, Scored(**order.scored), lambda: now)
    die()


if __name__ == "__main__":
    main(*sys.argv[1:])
