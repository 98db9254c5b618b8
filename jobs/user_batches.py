"""From rows of user_features to the arrays that models read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.types import PROFILE_FIELDS, Filters, UserBatch
from stores.artefact import Artefact


def user_batch(batch: pa.RecordBatch, width: int) -> UserBatch:
    """What the user tower reads, of rows with `liked` (newest first). width: H, watches read."""
    offsets, items = _ragged(batch.column("liked"))
    lengths = np.diff(offsets)
    back = np.arange(width)[::-1]  # (H,) how many watches ago each column lies
    inside = back[None] < lengths[:, None]
    places = np.where(inside, offsets[:-1, None] + back[None], 0)
    history = np.where(inside, items[places] if len(items) else -1, -1).astype(np.int32)
    return UserBatch(
        history=history,
        profile={name: batch.column(name).to_pylist() for name in PROFILE_FIELDS},
        watches=batch.column("watches").to_numpy(zero_copy_only=False).astype(np.int32),
    )


def filters(batch: pa.RecordBatch, artefact: Artefact) -> Filters:
    """What each user may and would not see."""
    regions = batch.column("region").to_pylist()
    return Filters(
        watched=_ragged(batch.column("watched")),
        maturity_limit=batch.column("maturity_limit").to_numpy().astype(np.uint8),
        region_bit=np.array([artefact.region_bits(region) for region in regions], np.uint64),
        genre_weights=_genre_weights(batch, artefact),
    )


def _ragged(column: pa.Array) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int32]]]:
    """A list<int> column as offsets (B+1,) and flat items."""
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.int32)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]), flat


def _genre_weights(batch: pa.RecordBatch, artefact: Artefact) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(B, G) in the artefact's genre numbers."""
    number = {name: place for place, name in enumerate(artefact.genre_names)}
    weights = np.zeros((len(batch), len(number)), np.float32)
    for row, pairs in enumerate(batch.column("favorite_genres").to_pylist()):
        for genre, weight in pairs:
            if genre in number:
                weights[row, number[genre]] = weight
    return weights
