"""The serving artefact of an hour: catalogue, vectors, similar items and fallback lists, as one immutable folder.

Scoring reads the same arrays, so what the batch filters by is what the service filters by.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from conf.errors import DataError
from conf.hours import Hour
from conf.settings import Settings
from conf.vocabulary import NO_GENRE
from jobs import barrier, states
from jobs.catalogue import catalogue
from jobs.lake import Lake
from jobs.manifests import Built, BuiltOther, built_before, encoded_folder, save
from jobs.registry import Model as Deployed
from jobs.tables import ITEM_EMBEDDINGS, POPULARITY
from models.content import genre_vocabulary
from models.encoding import EncodedItems
from models.modelfiles import Model, encode_items, load_usable
from models.similar import similar_items
from stores.artefact import (
    encode_fragment,
    extend_names,
    licence_bits,
    write_artefact,
)
from stores.artefact_parts import MAX_GENRES, MAX_REGIONS, ArtefactContent
from stores.control import Control
from stores.records import DIM
from stores.search import SearchDocument

SEGMENT = "segment:"
SIMILAR = 50
"""Similar items kept for each item."""


def run(
    lake: Lake,
    hour: Hour,
    settings: Settings,
    model: Deployed,
    challenger: Deployed | None = None,
    control: Control | None = None,
) -> Built:
    """Encode the catalogue with `model`, and write the artefact and the item_embeddings table.

    control: the store's record, whose barrier list the artefact takes over.
    challenger: a model that is being tried, which gets an artefact of its own. What is wrong with it costs nobody else
    anything, and is in the result. A ranker of `model` that cannot be used is replaced, and the result says so.

    Raises:
        DataError: the catalogue is empty, its item_no have gaps, or it has more regions than fit; `model` is damaged
            in another part than its ranker.
    """
    items, popular, before = catalogue(lake), _popular(lake, hour), built_before(settings, hour)
    if control is not None:
        barrier.settle(lake, settings, control)
    barred = barrier.load(lake, settings, control)

    def write(each: Deployed) -> tuple[str, EncodedItems, ArtefactContent, str]:
        loaded, problem = load_usable(each.folder)
        encoded = encode_items(loaded, items)
        lost = np.flatnonzero(~np.isfinite(encoded.vectors).all(1))
        if len(lost):
            raise DataError(
                f"{each.version} gives {len(lost):,} items vectors that are no numbers, the first of them "
                f"{items['item_id'][int(lost[0])]}: take it back with `topshelf rollout abort`, or train again"
            )
        content = replace(
            artefact_content(items, popular, loaded, encoded, before, each.version, str(hour)),
            forgotten=barred.hashes,
            forgotten_upto=barred.upto,
        )
        artefact_id = write_artefact(settings.artefacts_path, content)
        _save_encoded(encoded, encoded_folder(settings, artefact_id))
        return artefact_id, encoded, content, problem

    artefact_id, encoded, content, problem = write(model)
    _write_embeddings(lake, items, encoded, model.model_id, hour)
    other = None
    if challenger is not None:
        try:
            made = write(challenger)
            # One that cannot be tried as it is is not tried.
            other = BuiltOther(None if made[3] else made[0], challenger.model_id, made[3])
        except DataError as error:
            other = BuiltOther(None, challenger.model_id, str(error))
    names = list(content.genre_names), list(content.segments)
    result = Built(artefact_id, model.model_id, items.num_rows, *names, other, problem)
    save(settings, hour, result)
    return result


def _save_encoded(encoded: EncodedItems, folder: Path) -> None:
    if folder.exists():
        return
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    encoded.save(partial)
    partial.rename(folder)


def _popular(lake: Lake, hour: Hour) -> dict[str, np.ndarray[Any, np.dtype[np.int32]]]:
    rows = (
        lake.need(POPULARITY, "`topshelf run`")
        .where((F.col("date") == hour.date) & (F.col("hour") == hour.start.hour))
        .select("scope", F.col("items.item_no").alias("item_no"))
        .collect()
    )
    if not rows:
        raise DataError(f"popularity has no rows of {hour}: run that hour's `popularity` first")
    return {row["scope"]: np.array(row["item_no"], np.int32) for row in rows}


def artefact_content(
    items: pa.Table,
    popular: dict[str, np.ndarray[Any, np.dtype[np.int32]]],
    model: Model,
    encoded: EncodedItems,
    before: Built | None,
    model_version: str,
    made_for: str,
) -> ArtefactContent:
    """Everything the service needs, from the catalogue, the popular lists and the encoded items."""
    rows = items.to_pylist()
    genre_names = extend_names(before.genre_names if before else (), genre_vocabulary(items))[:MAX_GENRES]
    named = sorted(scope.removeprefix(SEGMENT) for scope in popular if scope.startswith(SEGMENT))
    regions = _regions(rows)
    active = np.array([row["status"] == "active" for row in rows], bool)
    context: dict[str, Any] = model.context()
    similar, similar_score = similar_items(encoded.vectors, active, model.item_item.near, SIMILAR)
    return ArtefactContent(
        item_ids=[row["item_id"] for row in rows],
        titles=[row["title"] or row["item_id"] for row in rows],
        directors=[row["director"] for row in rows],
        fragments=[
            encode_fragment(
                row["item_id"],
                row["title"] or row["item_id"],
                thumbnail=row["thumbnail"],
                genres=row["genres"],
                year=row["year"],
                rating=row["rating"],
            )
            for row in rows
        ],
        active=active,
        maturity=np.array([row["maturity"] for row in rows], np.uint8),
        licensed=np.array([licence_bits(regions, row["regions"]) for row in rows], np.uint64),
        regions=regions,
        available_from=_epoch([row["available_from"] for row in rows], -np.inf),
        available_until=_epoch([row["available_until"] for row in rows], np.inf),
        genres=_genre_bits(rows, genre_names),
        primary_genre=_primary(rows, genre_names),
        genre_names=genre_names,
        vectors=_widened(encoded.vectors),
        context_items=np.ascontiguousarray(encoded.context, np.float32),
        context_pages=model.context_pages,
        context_regions=model.context_regions,
        **context,
        similar=similar,
        similar_score=similar_score,
        popular=popular,
        segments=extend_names(before.segments if before else (), named),
        model_version=model_version,
        made_for=made_for,
        documents=[
            SearchDocument(
                title=row["title"] or row["item_id"],
                cast=row["cast"],
                director=row["director"],
                genres=row["genres"],
                description=row["description"],
                year=row["year"],
            )
            for row in rows
        ],
    )


def _regions(rows: Sequence[dict[str, Any]]) -> list[str]:
    regions = sorted({region for row in rows for region in row["regions"]} - {"*"})
    if len(regions) > MAX_REGIONS:
        raise DataError(f"items: {len(regions)} regions are named, at most {MAX_REGIONS} fit: merge some")
    return regions


def _epoch(moments: Sequence[datetime | None], open_end: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([open_end if moment is None else moment.timestamp() for moment in moments], np.float64)


def _genre_bits(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    bit = {name: 1 << number for number, name in enumerate(names)}
    return np.array([sum({bit.get(genre, 0) for genre in row["genres"]}) for row in rows], np.uint64)


def _primary(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    number = {name: place for place, name in enumerate(names)}
    return np.array([number.get(row["genres"][0], NO_GENRE) if row["genres"] else NO_GENRE for row in rows], np.uint8)


def _widened(vectors: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(n, d) to (n, 128), the width of a stored user vector, with zeros."""
    wide = np.zeros((len(vectors), DIM), np.float32)
    wide[:, : vectors.shape[1]] = vectors
    return wide


def _write_embeddings(lake: Lake, items: pa.Table, encoded: EncodedItems, model_id: str, hour: Hour) -> None:
    vectors = np.ascontiguousarray(encoded.vectors, np.float32)
    offsets = pa.array(np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1])
    table = pa.table(
        {
            "item_no": items["item_no"],
            "item_id": items["item_id"],
            "model_id": pa.array([model_id] * len(vectors)),
            "embedding": pa.ListArray.from_arrays(offsets, pa.array(vectors.reshape(-1))),
            "as_of": pc.cast(pa.array([hour.end] * len(vectors)), pa.timestamp("us", "UTC")),
        }
    )
    states.overwrite(lake, ITEM_EMBEDDINGS, lake.spark.createDataFrame(table).coalesce(1), hour)
