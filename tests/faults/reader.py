"""A reader that checks every answer, as a process of its own: `python -m tests.faults.reader`.

It reads the control record, then users' rings, and takes from each what `choose` takes. It says what it found, as a
line of JSON, several times a second, and ends when its input does.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from dataclasses import asdict, dataclass, field

from conf.settings import Settings
from stores.base import Store, StoreTimeout, StoreUnavailable, choose
from stores.control import Control
from stores.opening import open_reader
from tests.faults.world import World

BATCH = 20
"""Users looked up under one control record."""
PAUSE_SECONDS, REPORT_SECONDS = 0.01, 0.1
NAMED = 5


@dataclass
class Found:
    checked: int = 0
    """Answers that were compared, `older` and `wrong` ones among them."""
    older: int = 0
    """The user's list of an earlier hour."""
    wrong: int = 0
    """Any other list than the user's."""
    overtaken: int = 0
    """Answers to a control record that was two generations old by then; not compared."""
    corrupt: int = 0
    unavailable: int = 0
    timeouts: int = 0
    """Among the unavailable."""
    slowest_timeout: float = 0
    """Seconds that a look-up took at most which ended in a time-out."""
    generations: list[int] = field(default_factory=list)
    """Those that were seen, in their order."""
    examples: list[str] = field(default_factory=list)

    def add(self, other: Found) -> Found:
        """Both together."""
        mine, others = asdict(self), asdict(other)
        sums = {name: mine[name] + others[name] for name in mine}
        return Found(**{**sums, "slowest_timeout": max(self.slowest_timeout, other.slowest_timeout)})


class Reader:
    def __init__(self, store: Store, world: World, found: Found, seed: int) -> None:
        self._store = store
        self._world = world
        self._found = found
        self._random = random.Random(seed)
        self._control: Control | None = None

    def step(self) -> None:
        """Read the control record, and under it some users' lists. Where it cannot be read the last one goes on."""
        found = self._found
        try:
            self._control = self._store.read_control()
        except StoreUnavailable:
            found.unavailable += 1
        control = self._control
        if control is None:
            return
        if control.current and (not found.generations or found.generations[-1] != control.current):
            found.generations.append(control.current)
        for user in self._random.choices(self._world.everyone(), k=BATCH):
            started = time.monotonic()
            try:
                ring = self._store.ring(user)
            except StoreUnavailable as error:
                found.unavailable += 1
                if isinstance(error, StoreTimeout):
                    found.timeouts += 1
                    found.slowest_timeout = max(found.slowest_timeout, time.monotonic() - started)
                continue
            self._judge(user, ring, control)

    def _judge(self, user: str, ring: dict[int, bytes], control: Control) -> None:
        found, generation = self._found, control.generation()
        answer = choose(ring, control, lambda _: self._count_corrupt())
        items = None if answer is None else answer.body.item_no.tolist()
        number = -1 if generation is None else self._world.number(generation.hour)
        if items == self._world.items(user, number):
            found.checked += 1
            return
        if self._is_overtaken(control):
            found.overtaken += 1
            return
        found.checked += 1
        if any(items == self._world.items(user, earlier) for earlier in range(number)):
            found.older += 1
        else:
            found.wrong += 1
        if len(found.examples) < NAMED:
            found.examples.append(f"{user} got {items}, generation {control.current} has {number=}")

    def _count_corrupt(self) -> None:
        self._found.corrupt += 1

    def _is_overtaken(self, control: Control) -> bool:
        """Whether readers of this control record are out of date: rings keep a generation until the second after it.

        One that was rolled back from is written over by the next.
        """
        try:
            now = self._store.read_control()
        except StoreUnavailable:
            return True  # nobody knows
        assert now is not None
        return control.current not in [generation.number for generation in now.live[:2]]


def main(settings_file: str, users: str, seed: str) -> None:
    with open(settings_file) as file:
        settings = Settings.model_validate_json(file.read())
    os.nice(5)  # what is watched goes first
    found, stop = Found(), threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    with open_reader(settings) as store:
        reader = Reader(store, World(int(users)), found, int(seed))
        said = 0.0
        while not stop.wait(PAUSE_SECONDS):
            reader.step()
            if time.monotonic() - said > REPORT_SECONDS:
                print(json.dumps(asdict(found)), flush=True)
                said = time.monotonic()
    print(json.dumps(asdict(found)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
