"""served: move what the service logged as shown into Delta, each page once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from conf.errors import DataError
from conf.hours import Hour
from jobs.barrier import NOBODY, Barred
from jobs.lake import Lake, write_json
from jobs.tables import SERVED
from stores.eventlog.framing import read, sealed_and_open_segments

STATE_FILE = "served.json"
DAMAGED = ".damaged"
PAGES_A_COMMIT = 100_000
"""At most, but for the last segment of a commit."""


@dataclass(frozen=True)
class Result:
    read: int
    """Pages found in the log."""
    new: int
    """Those of them that the table did not have."""
    damaged: tuple[str, ...]
    """What is wrong with the segments that were set aside as damaged."""
    in_hour: int
    """Pages that the hour's partition holds."""
    dropped: int
    """Pages that the service says it could not log in that hour."""


@dataclass
class _Part:
    """Pages that go into one commit, and how far their segments have been read."""

    pages: list[dict[str, Any]]
    positions: dict[str, int]
    finished: list[Path]


def run(lake: Lake, hour: Hour, folder: Path, barred: Barred = NOBODY) -> Result:
    """Drain the log below `folder`, then count what `hour` holds.

    A page belongs to the hour in which it was shown, whenever it arrives. Positions are saved after the commit, so a
    crash in between reads some pages again, and what the table has is left out. Finished segments are removed then.

    barred: users whose pages become nobody's.
    """
    found, new, damaged = drain(lake, folder, barred)
    return Result(found, new, tuple(damaged), *_held(lake, hour))


def drain(lake: Lake, folder: Path, barred: Barred = NOBODY) -> tuple[int, int, list[str]]:
    """As `run`, but for the counting. Returns pages found, those that are new, and what is wrong with segments."""
    found = new = 0
    damaged: list[str] = []
    positions = _positions(folder)
    for part in _parts(folder, positions, damaged):
        found += len(part.pages)
        pages = [{**page, "user_id": None} if _is_barred(page, barred) else page for page in part.pages]
        new += _append(lake, pages) if pages else 0
        positions |= part.positions
        write_json(folder / STATE_FILE, positions)
        for path in part.finished:
            path.unlink()
            del positions[path.stem]
    if folder.exists():
        write_json(folder / STATE_FILE, positions)
    return found, new, damaged


def _is_barred(page: Mapping[str, Any], barred: Barred) -> bool:
    return page["user_id"] is not None and barred.bars(page["user_id"])


def waiting(folder: Path) -> int:
    """Pages of the log below `folder` that no run has read yet."""
    positions = _positions(folder)
    found = 0
    for segment in sealed_and_open_segments(folder):
        with segment.path.open("rb") as lines:
            lines.seek(positions.get(segment.name, 0))
            found += sum(1 for _ in lines)
    return found


def _positions(folder: Path) -> dict[str, int]:
    """How far each segment that is still there has been read."""
    file = folder / STATE_FILE
    saved: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    return {name: end for name, end in saved.items() if (folder / f"{name}.log").exists()}


def _parts(folder: Path, positions: dict[str, int], damaged: list[str]) -> Iterator[_Part]:
    """What is to be committed together: a commit costs a second, whatever its size. Adds to `damaged`."""
    part = _Part([], {}, [])
    for segment in sealed_and_open_segments(folder):
        try:
            pages, end = read(segment, positions.get(segment.name, 0))
        except DataError as error:
            # The lists must not wait until somebody mends what only analysts read.
            segment.path.rename(segment.path.with_suffix(DAMAGED))
            damaged.append(str(error))
            continue
        part.pages += pages
        part.positions[segment.name] = end
        part.finished += [segment.path] if segment.sealed else []
        if len(part.pages) >= PAGES_A_COMMIT:
            yield part
            part = _Part([], {}, [])
    if part.positions:
        yield part


def _append(lake: Lake, pages: Sequence[dict[str, Any]]) -> int:
    """Add the pages that the table does not have, and count them."""
    unique = {(page["request_id"], page["offset"]): page for page in pages}
    rows = [_row(page) for page in unique.values()]
    arrived = lake.spark.createDataFrame([tuple(row[name] for name in SERVED.columns) for row in rows], SERVED.schema)
    dates = {row["date"] for row in rows}
    known = lake.read(SERVED).where(F.col("date").between(F.lit(min(dates)), F.lit(max(dates))))
    return lake.append_new(SERVED, arrived, known)


def _row(page: dict[str, Any]) -> dict[str, Any]:
    shown = datetime.fromtimestamp(page["timestamp"], UTC)
    return {"dropped": 0, **page, "timestamp": shown, "date": shown.date(), "hour": shown.hour}


def _held(lake: Lake, hour: Hour) -> tuple[int, int]:
    """Pages of `hour`, and those that were dropped in it."""
    within = lake.read(SERVED).where((F.col("date") == F.lit(hour.date)) & (F.col("hour") == hour.start.hour))
    row = within.agg(F.count("*").alias("pages"), F.coalesce(F.sum("dropped"), F.lit(0)).alias("dropped")).first()
    return (0, 0) if row is None else (int(row["pages"]), int(row["dropped"]))
