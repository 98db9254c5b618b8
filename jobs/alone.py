"""Who may work on the lake at once: any number of jobs, or one erasure.

An erasure removes every file that is no part of a table's newest version, also those that another process has written
and not committed yet, or reads. A lock is held by a process and goes with it.
"""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK_FILE = "lake.lock"
LOOK_SECONDS = 1.0


class Share:
    """Work on the lake beside others, for as long as this object is there. Making it waits for an erasure."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        lock = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        weakref.finalize(self, os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_SH)


@contextmanager
def alone(home: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """While nobody else works on the lake: those who do are waited for, those who come later wait.

    waiting: called once, before a wait.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK_FILE).open("ab") as lock:
        told = False
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if not told:
                waiting()
                told = True
            time.sleep(LOOK_SECONDS)
        yield
