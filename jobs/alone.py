"""Who may work on the lake at once: any number of jobs, or one erasure.

An erasure removes every file that is no part of a table's newest version, also those that another process has written
and not committed yet, or reads. A lock is held by a process and goes with it.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

LOCK_FILE = "lake.lock"
LOOK_SECONDS = 1.0


def share(home: Path) -> IO[bytes]:
    """Work on the lake beside others, for as long as the file that is returned is open. Waits for an erasure."""
    home.mkdir(parents=True, exist_ok=True)
    lock = (home / LOCK_FILE).open("ab")
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


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
