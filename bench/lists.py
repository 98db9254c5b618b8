"""Synthetic lists: 150 items a user out of 4,999, made in Spark's workers by arithmetic alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from conf.vocabulary import EVERYWHERE, NO_ANCHOR
from jobs.tables import RECOMMENDATIONS
from stores.artefact import encode_fragment, write_artefact
from stores.artefact_parts import ArtefactContent
from stores.records import MAX_ITEMS, ListBody, body_hash, encode_body, pack_vector, score_byte

ITEMS = 4999
"""A prime, so that a list walked in steps of any length meets 150 different items."""
COLUMNS = ("user_id", "items", "embedding", "segment", "region", "maturity_limit", "body", "hash")
_LOGITS: NDArray[np.float32] = np.linspace(2, -4, MAX_ITEMS, dtype=np.float32)
_PROBABILITIES: NDArray[np.float32] = (1 / (1 + np.exp(-_LOGITS))).astype(np.float32)


def user_id(number: int) -> str:
    """36 characters, as long as a UUID."""
    return f"user-{number:031}"


def item_numbers(users: NDArray[np.int64], version: int) -> NDArray[np.int32]:
    """(B, 150) the items of each user's list; another version is another list."""
    first = (users * 7919 + version * 104729) % ITEMS
    step = 1 + (users * 31 + version * 17) % (ITEMS - 1)
    return ((first[:, None] + step[:, None] * np.arange(MAX_ITEMS)) % ITEMS).astype(np.int32)


def bodies(items: NDArray[np.int32]) -> list[bytes]:
    """The stored rows of lists of (B, 150) items, without generation and watermark."""
    frame = np.frombuffer(encode_body(_body(items[0])), np.uint8)
    rows = np.tile(frame, (len(items), 1))
    numbers = np.ascontiguousarray(items, dtype="<u4").view(np.uint8).reshape(len(items), MAX_ITEMS, 4)[:, :, :3]
    start = len(frame) - 5 * MAX_ITEMS
    rows[:, start : start + 3 * MAX_ITEMS] = numbers.reshape(len(items), -1)
    return [row.tobytes() for row in rows]


def _body(items: NDArray[np.int32]) -> ListBody:
    vector = np.random.default_rng(1).normal(size=128).astype(np.float32)
    zeros, none = np.zeros(MAX_ITEMS, np.uint8), np.full(MAX_ITEMS, NO_ANCHOR, np.uint8)
    return ListBody(0, None, 0xFFFF, pack_vector(vector), (1, 2, 3, 4, 5), items, score_byte(_LOGITS), zeros, none)


def made(spark: SparkSession, users: int, version: int, percent: int = 100) -> DataFrame:
    """Lists of the first `percent` of every hundred users, as scoring leaves them (COLUMNS)."""

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            numbers = batch.column("id").to_numpy()
            yield _rows(numbers[numbers % 100 < percent], version)

    return spark.range(users).mapInArrow(work, StructType([RECOMMENDATIONS.schema[name] for name in COLUMNS]))


def _rows(users: NDArray[np.int64], version: int) -> pa.RecordBatch:
    items = item_numbers(users, version)
    count = len(users)
    flat = items.reshape(-1)
    ids = pa.array([f"item-{number}" for number in range(ITEMS)])
    listed = pa.StructArray.from_arrays(
        [
            pa.array(flat),
            ids.take(pa.array(flat)),
            pa.array(np.tile(_PROBABILITIES, count)),
            pa.repeat("ann", count * MAX_ITEMS),
            pa.nulls(count * MAX_ITEMS, pa.string()),
        ],
        names=["item_no", "item_id", "score", "source", "anchor"],
    )
    encoded = bodies(items) if count else []
    columns = {
        "user_id": pa.array([user_id(number) for number in users.tolist()], pa.string()),
        "items": pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * MAX_ITEMS), listed),
        "embedding": pa.array([b""] * count, pa.binary()),
        "segment": pa.nulls(count, pa.string()),
        "region": pa.nulls(count, pa.string()),
        "maturity_limit": pa.array(np.zeros(count, np.int32)),
        "body": pa.array(encoded, pa.binary()),
        "hash": pa.array([body_hash(body) for body in encoded], pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


def artefact(root: Path) -> str:
    """Write a catalogue of the 4,999 items, all of which anybody may see; returns the artefact's id."""
    ids = [f"item-{number}" for number in range(ITEMS)]
    none = np.zeros(ITEMS, np.uint8)
    content = ArtefactContent(
        item_ids=ids,
        titles=ids,
        directors=[None] * ITEMS,
        fragments=[encode_fragment(name, name, thumbnail=None, genres=[], year=None, rating=None) for name in ids],
        active=np.ones(ITEMS, bool),
        maturity=none,
        licensed=np.full(ITEMS, EVERYWHERE),
        regions=[],
        available_from=np.full(ITEMS, -np.inf),
        available_until=np.full(ITEMS, np.inf),
        genres=np.zeros(ITEMS, np.uint64),
        primary_genre=none,
        genre_names=["Any"],
        vectors=np.zeros((ITEMS, 4), np.float32),
        context_items=np.zeros((ITEMS, 1), np.float32),
        context_page=np.zeros((1, 1), np.float32),
        context_pages=[""],
        context_daypart=np.zeros((1, 4, 1), np.float32),
        context_regions=[""],
        context_weekday=np.zeros((7, 1), np.float32),
        similar=np.full((ITEMS, 1), -1, np.int32),
        similar_score=np.zeros((ITEMS, 1), np.float32),
        popular={"global": np.arange(200, dtype=np.int32)},
        segments=[],
        model_version="bench",
        made_for="bench",
    )
    return write_artefact(root, content)
