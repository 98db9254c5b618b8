"""Resident memory of this process and of all that it started: Spark's JVM, Python workers. Linux only."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from pathlib import Path
from types import TracebackType

EVERY_SECONDS = 0.5


class Peak:
    """While the block runs, the highest sums over the tree of processes; in bytes. Shared pages count once.

    A server that was started apart, as the database servers are, does not belong to the tree.
    """

    def __init__(self) -> None:
        self.resident = 0
        """With pages of mapped files, such as the embedded store's, which the kernel takes back when it needs them."""
        self.anonymous = 0
        """Without them."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def __enter__(self) -> Peak:
        self.look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            self.look()

    def look(self) -> None:
        """Take what there is now into account."""
        sums = [_kilobytes(pid) for pid in tree(os.getpid())]
        self.resident = max(self.resident, 1024 * sum(resident for resident, _ in sums))
        self.anonymous = max(self.anonymous, 1024 * sum(anonymous for _, anonymous in sums))


def tree(root: int) -> list[int]:
    """The process and its descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
            children[int(fields[1])].append(int(folder.name))
    found = [root]
    for pid in found:  # grows while it is gone through
        found += children[pid]
    return found


def anonymous_bytes(pid: int) -> int:
    """Of one process: its proportional share of pages that belong to no file."""
    return 1024 * _kilobytes(pid)[1]


def _kilobytes(pid: int) -> tuple[int, int]:
    """Proportional set size, and the anonymous part of it; none of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return sizes.get("Pss", 0), sizes.get("Pss_Anon", 0)
