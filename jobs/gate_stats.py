"""What the lists of a plan look like, measured in Spark's Python workers, and summed up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from conf.hours import Hour
from conf.settings import Settings
from jobs.catalogue import arrays_of
from jobs.lake import Lake
from jobs.ledger import KEY
from jobs.tables import PUBLISHED
from models.listcheck import TOP, Lists, ListStats, measure
from stores.artefact import Artefact, load_artefact
from stores.control import Control

EXAMPLES = 5
"""Users and items named by a check that fails."""
_SUMS = pa.schema(
    [
        *((name, pa.int64()) for name in ("lists", "short", "forbidden", "compared")),
        ("overlap", pa.float64()),
        *((name, pa.list_(pa.float64())) for name in ("new_scores", "old_scores")),
        ("item_no", pa.list_(pa.int32())),
        ("places", pa.list_(pa.int64())),
        *((name, pa.list_(pa.string())) for name in ("examples", "brief")),
    ]
)


_PLACES = pa.schema([("places", pa.binary())])


def measure_lists(
    lake: Lake, planned: DataFrame, hour: Hour, settings: Settings, control: Control, artefact_id: str
) -> tuple[ListStats, list[str], list[str]]:
    """The sums over all planned lists; examples of forbidden items; users with short lists."""
    old = lake.read(PUBLISHED).where(F.col("store_id") == control.store_id).select(*KEY, F.col("items").alias("old"))
    pairs = planned.select(*KEY, "items", "region", "maturity_limit").join(old, on=KEY, how="left")
    measured = pairs.select("user_id", "region", "maturity_limit", *_columns("items", "new"), *_columns("old", "old"))
    root, now, short = settings.artefacts_path, hour.end.timestamp(), settings.gate.short_list

    def worker(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        artefact = _artefact(root, artefact_id)
        for batch in batches:
            yield _sums(batch, artefact, now, short)

    total = ListStats.none(len(load_artefact(root, artefact_id, verify=False)))
    forbidden, brief = list[str](), list[str]()
    for row in measured.mapInArrow(worker, from_arrow_schema(_SUMS)).toLocalIterator():
        places = np.zeros(len(total.places), np.int64)
        places[row["item_no"]] = row["places"]
        total += ListStats(
            row["lists"],
            row["short"],
            row["forbidden"],
            row["compared"],
            row["overlap"],
            np.array(row["new_scores"]),
            np.array(row["old_scores"]),
            places,
        )
        forbidden, brief = (forbidden + row["examples"])[:EXAMPLES], (brief + row["brief"])[:EXAMPLES]
    return total, forbidden, brief


def _columns(listed: str, prefix: str) -> list[Column]:
    """A list's item_nos and scores as two plain arrays, empty where there is no list."""
    return [
        F.coalesce(F.col(f"{listed}.{name}"), F.array().cast(f"array<{kind}>")).alias(f"{prefix}_{name}")
        for name, kind in (("item_no", "int"), ("score", "float"))
    ]


@lru_cache(maxsize=1)
def _artefact(root: Path, artefact_id: str) -> Artefact:
    return load_artefact(root, artefact_id, verify=False)


def _sums(batch: pa.RecordBatch, artefact: Artefact, now: float, short: int) -> pa.RecordBatch:
    new, old = _lists(batch, "new"), _lists(batch, "old")
    regions = batch.column("region").to_pylist()
    stats, wrong = measure(
        new,
        old,
        batch.column("maturity_limit").to_numpy(zero_copy_only=False).astype(np.uint8),
        np.array([artefact.region_bits(region) for region in regions], np.uint64),
        arrays_of(artefact),
        now,
        short,
    )
    users, owner = batch.column("user_id"), new.owner()
    row = {
        "lists": stats.lists,
        "short": stats.short,
        "forbidden": stats.forbidden,
        "compared": stats.compared,
        "overlap": stats.overlap,
        "new_scores": stats.new_scores.tolist(),
        "old_scores": stats.old_scores.tolist(),
        "item_no": np.flatnonzero(stats.places).tolist(),
        "places": stats.places[stats.places > 0].tolist(),
        "examples": [
            f"item {_item(artefact, new.item_no[place])} for user {users[int(owner[place])].as_py()}"
            for place in wrong[:EXAMPLES]
        ],
        "brief": [f"user {users[int(user)].as_py()}" for user in np.flatnonzero(new.lengths < short)[:EXAMPLES]],
    }
    return pa.RecordBatch.from_pylist([row], _SUMS)


def _item(artefact: Artefact, number: int) -> str:
    return artefact.item_ids[number] if 0 <= number < len(artefact) else f"number {number}"


def _lists(batch: pa.RecordBatch, prefix: str) -> Lists:
    items, scores = batch.column(f"{prefix}_item_no"), batch.column(f"{prefix}_score")
    lengths = pc.list_value_length(items).to_numpy(zero_copy_only=False).astype(np.int64)
    return Lists(
        np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
        items.flatten().to_numpy(zero_copy_only=False).astype(np.int32),
        scores.flatten().to_numpy(zero_copy_only=False).astype(np.float32),
    )


def places(lists: DataFrame, items: int) -> NDArray[np.int64]:
    """(items,) first-20 places that each item takes."""
    first = lists.select(F.slice("items.item_no", 1, TOP).alias("item_no"))

    def worker(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        taken = np.zeros(items, np.int64)
        for batch in batches:
            numbers = batch.column(0).flatten().to_numpy(zero_copy_only=False)
            taken += np.bincount(numbers[(numbers >= 0) & (numbers < items)], minlength=items)
        yield pa.RecordBatch.from_pydict({"places": [taken.tobytes()]}, _PLACES)

    total = np.zeros(items, np.int64)
    for row in first.mapInArrow(worker, from_arrow_schema(_PLACES)).toLocalIterator():
        total += np.frombuffer(row["places"], np.int64)
    return total
