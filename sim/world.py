"""A made-up streaming service, written in the project's own import layout.

Users have latent tastes and habits, items have latent characters and Zipf popularity. What is shown follows
popularity, favourite genres and new releases; whether it is clicked and how far it is watched follows taste, quality,
the hour, and the position it was shown at. The same arguments give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sim.audience import Audience, make_audience
from sim.behaviour import DEVICES, NONE, PAGES, TYPES, Log, Moods, Sessions, make_log, make_sessions
from sim.catalogue import Catalogue, genre_vectors, make_catalogue

MODEL_VERSION = "demo"
"""What the demo world's events name as the model that answered."""


@dataclass(frozen=True)
class WorldSummary:
    out: Path
    users: int
    items: int
    events: dict[str, int]
    """Events by type."""
    start: datetime
    end: datetime
    """Exclusive."""


@dataclass(frozen=True)
class World:
    """A world with all that is hidden from whoever reads its files."""

    catalogue: Catalogue
    audience: Audience
    moods: Moods
    sessions: Sessions
    """Of the record, as `log`."""
    log: Log
    start: datetime
    end: datetime
    """Of the record, exclusive."""
    seed: int

    def write(self, out: Path) -> WorldSummary:
        """Write items.parquet, users.parquet and events.parquet into `out`."""
        items, users = self.catalogue.table, self.audience.table
        events = _events_table(self.log, self.sessions, items["item_id"], users["user_id"], _streams(self.seed)[-1])
        _write(out, {"items": items, "users": users, "events": events})
        counts = np.bincount(self.log.kind, minlength=len(TYPES)).tolist()
        return WorldSummary(out, len(users), len(items), dict(zip(TYPES, counts, strict=True)), self.start, self.end)


def make_world(
    out: Path, users: int = 5_000, items: int = 2_000, days: int = 30, seed: int = 17, *, end: datetime
) -> WorldSummary:
    """Write items.parquet, users.parquet and events.parquet into `out`.

    Args:
        days: length of the record; its events lie in [end - days, end).
        end: timezone-aware.

    Raises:
        ValueError: a count below 1, or an `end` without a timezone.
    """
    return imagine(users, items, days, seed, end=end).write(out)


def imagine(users: int, items: int, days: int, seed: int, *, end: datetime, ahead: int = 0) -> World:
    """A world and the record of its days before `end`. Arguments and errors as of `make_world`.

    ahead: days after `end` in which items are released and accounts begin as they did before.
    """
    if min(users, items, days) < 1:
        raise ValueError("a world needs at least one user, one item and one day")
    if end.tzinfo is None:
        raise ValueError("end has no timezone")
    stop = int(end.timestamp() * 1000)
    start = stop - int(timedelta(days=days).total_seconds() * 1000)
    last = stop + int(timedelta(days=ahead).total_seconds() * 1000)
    tastes, shelves, people, visits, deeds, _ = _streams(seed)
    genres = genre_vectors(tastes)
    catalogue = make_catalogue(shelves, items, start, last, genres)
    audience = make_audience(people, users, start, last, genres)
    sessions = make_sessions(visits, audience, start, stop)
    log, moods = make_log(deeds, audience, catalogue, sessions, stop)
    return World(catalogue, audience, moods, sessions, log, end - timedelta(days=days), end, seed)


def _streams(seed: int) -> list[np.random.Generator]:
    """One stream of random numbers for each part, so that a change in one leaves the others as they are."""
    return [np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(6)]


def _events_table(
    log: Log, sessions: Sessions, item_ids: pa.ChunkedArray, user_ids: pa.ChunkedArray, rng: np.random.Generator
) -> pa.Table:
    tokens = rng.integers(0, 1 << 62, len(sessions.user))
    requests = pa.array([f"req_{token:016x}" for token in tokens.tolist()], pa.string())
    absent = log.position == NONE
    context = pa.StructArray.from_arrays(
        [
            _named(sessions.device[log.session], DEVICES),
            _named(sessions.page[log.session], PAGES),
            pa.array(log.position, pa.int32(), mask=absent),
            requests.take(pa.array(log.session)),
            _named(np.zeros_like(log.session), (MODEL_VERSION,)),
        ],
        ["device", "page", "position", "recommendation_id", "model_version"],
    )
    return pa.table({
        "user_id": user_ids.take(pa.array(log.user)),
        "item_id": item_ids.take(pa.array(log.item)),
        "event_type": _named(log.kind, TYPES),
        "watch_duration_sec": pa.array(log.seconds, pa.int32(), mask=log.seconds == NONE),
        "completed": pa.array(log.completed == 1, pa.bool_(), mask=log.completed == NONE),
        "rating": pa.array(log.half_stars / 2, pa.float32(), mask=log.half_stars == NONE),
        "context": context,
        "timestamp": pa.array(log.time, pa.timestamp("ms", tz="UTC")),
    })  # fmt: skip


def _named(index: np.ndarray, names: tuple[str, ...]) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(index))


def _write(out: Path, tables: dict[str, pa.Table]) -> None:
    """Write every table beside `out` first, so that a world is there whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        partial = Path(folder) / "world"
        partial.mkdir()
        for name, table in tables.items():
            pq.write_table(table, partial / f"{name}.parquet", compression="zstd", row_group_size=1 << 18)
        if not out.exists():
            partial.rename(out)
            return
        for file in partial.iterdir():
            file.replace(out / file.name)
