"""A million lists, end to end: seconds of each part, memory of all processes, bytes on disk."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

from pyspark.sql import functions as F

from bench.lines import emit
from bench.memory import Peak
from bench.worlds import World
from jobs.attempt import Result
from jobs.tables import PUBLICATIONS

PARTS = {"planned": "plan", "loading": "gate", "loaded": "load", "verified": "read_back", "current": "merge"}
"""What an attempt does on its way to each state. merge: the switch, and the table of what is live."""


def publish_many(made: World, users: int) -> None:
    """Publish everybody's list end to end, and once more with one in a hundred changed."""
    case = f"million.{made.settings.store.kind}"
    for version, percent in ((0, 100), (1, 1)):
        started = time.perf_counter()
        with Peak() as making:
            hour, scored = made.recommend(users, version, percent)
        emit(f"{case}.{percent}.make", [time.perf_counter() - started], "s, not part of it", scored.changed)
        _memory(f"{case}.{percent}.make", making, scored.changed)
        started = time.perf_counter()
        with Peak() as peak:
            result = made.publish(hour, scored)
        seconds = time.perf_counter() - started
        emit(f"{case}.{percent}", [result.written / seconds], "rows/s, all parts", result.written)
        emit(f"{case}.{percent}.seconds", [seconds], "s", result.written)
        for part, took in parts(made, result).items():
            emit(f"{case}.{percent}.seconds.{part}", [took], "s", result.written)
        emit(f"{case}.{percent}.load", [result.written / result.load_seconds], "rows/s", result.written)
        _memory(f"{case}.{percent}", peak, result.written)
    emit(f"{case}.rows", [made.store.count()], "rows in the store", users)
    if made.settings.store.kind == "embedded":  # a server's files are its own affair
        emit(f"{case}.disk.store", [disk_bytes(made.settings.store_path) / 1e6], "MB", users)
    emit(f"{case}.disk.lake", [disk_bytes(Path(made.lake.root)) / 1e6], "MB", users)


def parts(made: World, result: Result) -> dict[str, float]:
    """Seconds of each part of a publication, as the ledger has them; what comes before and after is in no part."""
    assert result.generation is not None  # something was published
    rows = made.lake.read(PUBLICATIONS).where(F.col("generation") == result.generation).orderBy("step").collect()
    noted = {row["state"]: row["noted_at"] for row in reversed(rows)}
    moments = [rows[0]["started_at"], *(noted[state] for state in PARTS)]
    return {
        part: (end - start).total_seconds()
        for part, (start, end) in zip(PARTS.values(), pairwise(moments), strict=True)
    }


def disk_bytes(folder: Path) -> int:
    """What the files of a folder take up on the disk, holes left out."""
    return sum(512 * path.stat().st_blocks for path in folder.rglob("*") if path.is_file())


def _memory(case: str, peak: Peak, n: int) -> None:
    emit(f"{case}.memory", [peak.resident / 1e6], "MB resident, all processes", n)
    emit(f"{case}.memory.anonymous", [peak.anonymous / 1e6], "MB, mapped files left out", n)
