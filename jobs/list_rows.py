"""Scored lists as rows: as the store keeps them, and as analysts read them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conf.vocabulary import LABELS, NO_ANCHOR, Source
from models.types import ScoredLists
from stores.artefact import Artefact
from stores.records import UNKNOWN_SEGMENT, ListBody, pack_vector, score_byte


def segments(batch: pa.RecordBatch, artefact: Artefact) -> list[int]:
    """Of each user, the number of their segment in the artefact."""
    number = {name: place for place, name in enumerate(artefact.segments)}
    pairs = zip(batch.column("age_band").to_pylist(), batch.column("region").to_pylist(), strict=True)
    return [number.get(f"{age}/{region}", UNKNOWN_SEGMENT) for age, region in pairs]


def list_body(
    batch: pa.RecordBatch, row: int, history: np.ndarray[Any, Any], lists: ScoredLists, segment: int, artefact: Artefact
) -> ListBody:
    kept = lists.item_no[row] >= 0
    return ListBody(
        maturity_limit=batch.column("maturity_limit")[row].as_py(),
        region=batch.column("region")[row].as_py(),
        segment=segment,
        vector=pack_vector(lists.vectors[row]),
        anchors=tuple(int(item) for item in history[::-1][:5] if item >= 0),
        item_no=lists.item_no[row][kept],
        score=score_byte(lists.logit_q[row][kept] / 4096),
        source=lists.source[row][kept],
        anchor=lists.anchor[row][kept],
    )


def list_items(lists: ScoredLists, history: np.ndarray[Any, Any], artefact: Artefact) -> pa.Array:
    """The lists as analysts read them: an array of structs a user, anchors by name."""
    kept = lists.item_no >= 0
    offsets = np.concatenate([[0], np.cumsum(kept.sum(1))]).astype(np.int32)
    item_no = lists.item_no[kept]
    ids = _ids(artefact)
    source, anchor = lists.source[kept], lists.anchor[kept]
    user = np.repeat(np.arange(len(kept)), kept.sum(1))
    similar, genre = source == Source.SIMILAR, (source == Source.GENRE) & (anchor != NO_ANCHOR)
    back = np.where(similar, anchor, 0).astype(np.int64)
    watched = np.where(similar, history[user, history.shape[1] - 1 - back], 0)
    names = pa.array(artefact.genre_names or [""], pa.string())
    anchors = pc.if_else(
        pa.array(similar),
        ids.take(pa.array(watched)),
        pc.if_else(
            pa.array(genre),
            names.take(pa.array(np.where(genre, anchor, 0).astype(np.int32))),
            pa.scalar(None, pa.string()),
        ),
    )
    probability = 1 / (1 + np.exp(-lists.logit_q[kept] / 4096))
    struct = pa.StructArray.from_arrays(
        [
            pa.array(item_no),
            ids.take(pa.array(item_no)),
            pa.array(probability.astype(np.float32)),
            pa.array(LABELS, pa.string()).take(pa.array(source.astype(np.int32))),
            anchors,
        ],
        names=["item_no", "item_id", "score", "source", "anchor"],
    )
    return pa.ListArray.from_arrays(pa.array(offsets), struct)


@lru_cache(maxsize=1)
def _ids(artefact: Artefact) -> pa.Array:
    """Once a worker: they are read one by one, and a catalogue has more of them than a batch has items."""
    return pa.array(artefact.item_ids, pa.string())
