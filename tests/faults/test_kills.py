"""Publishers that are killed, at every point of a publication."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import deque
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from conf.settings import Settings
from tests.faults.publisher import POINTS, Order
from tests.faults.publishing import watched
from tests.faults.watching import ROOT
from tests.faults.world import World
from tests.jobs.publishing import open_gate
from tests.services.stores import settings_for

DAY = 86_400
KILLS = {"embedded": 17, "dynamodb": 17, "scylla": 16}
LONGEST_SECONDS = 15.0
"""About what a publication takes in a process that has just started."""


class Victim:
    """A publisher in a process of its own, started ahead of its order."""

    def __init__(self, settings: Settings, world: World, folder: Path) -> None:
        file = folder / f"publisher-{id(self)}.json"
        file.write_text(settings.model_dump_json())
        self._log = file.with_suffix(".log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.publisher", str(file), str(world.users)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,  # so that its JVM can be ended with it
        )

    def die(self, order: Order) -> None:
        """Returns once it is dead, by SIGKILL. Its JVM may live on for a moment."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if said == "ready\n":
            self._process.stdin.write(order.to_json() + "\n")
            self._process.stdin.flush()
        self._process.wait()
        if said != "ready\n" or self._process.returncode != -signal.SIGKILL:
            self._log.seek(0)
            raise AssertionError(f"the publisher ended with {self._process.returncode}: {self._log.read()[-3000:]}")

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            assert stream is not None
            stream.close()


def test_a_publisher_killed_in_mid_load(request, settings, lake, table, tmp_path):
    world = World(60)
    chosen = settings_for(request, settings, "scylla")
    with ExitStack() as closing:
        victim = Victim(open_gate(chosen), world, tmp_path)
        closing.callback(victim.close)
        publications, watch = closing.enter_context(watched(chosen, lake, world, tmp_path))
        scored = publications.score(1)
        victim.die(Order(1, asdict(scored), "in mid-load", rows=5, skew=DAY))
        control = publications.store.read_control()
        assert (control.current, control.lease) == (1, 2)  # a dead attempt holds the lease
        result = publications.recover(1, scored)
        assert result.generation == 3
        assert publications.recovered == result.planned == scored.changed
        watch.wait_for()


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KILLS)
def test_kills_at_random_points(kind, request, settings, lake, table, tmp_path):
    world = World(2000)
    draw = random.Random(kind)
    points = [*POINTS, *(draw.choice(POINTS) for _ in range(KILLS[kind] - len(POINTS)))]
    draw.shuffle(points)
    chosen = settings_for(request, settings, kind)
    with ExitStack() as closing:
        waiting = deque[Victim]()

        def start() -> None:
            waiting.append(Victim(open_gate(chosen), world, tmp_path))
            closing.callback(waiting[-1].close)

        start()
        publications, watch = closing.enter_context(watched(chosen, lake, world, tmp_path))
        hour = 1
        for number, point in enumerate(points, start=1):
            scored = publications.score(hour)
            order = Order(
                hour,
                asdict(scored),
                point,
                rows=draw.randrange(world.users // 8),
                seconds=draw.uniform(0, LONGEST_SECONDS),
                skew=draw.choice((-DAY, 0, DAY)),
            )
            victim = waiting.popleft()
            victim.die(order)
            if number < len(points):
                start()  # it starts while what the dead one left is made good
            if draw.random() < 0.5:
                hour += 1  # the next hour makes it good, instead of the same again
                scored = None
            before = publications.recovered
            result = publications.recover(hour, scored)
            table.notes.append(
                f"{kind} {number}: killed {point}, hour {order.hour}; hour {hour}: generation {result.generation}, "
                f"{result.planned} planned = {result.written} written + {result.rejected} rejected, "
                f"{publications.recovered - before} of them for the dead"
            )
            victim.close()
            hour += 1
            watch.wait_for()
        table.add("publisher killed", kind, watch.found, publications.recovered, len(points))
