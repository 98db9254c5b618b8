"""recommendations: score every active user's list in Spark, and keep those that changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from conf.errors import DataError
from conf.hours import Hour
from conf.settings import Retrieval, Settings
from conf.vocabulary import LABELS, NO_ANCHOR, Source
from jobs.catalogue import arrays_of
from jobs.events import window_start
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.manifests import Built, Scored, encoded_folder, save
from jobs.tables import ITEMS, POPULARITY, PUBLISHED, RECOMMENDATIONS, USER_FEATURES
from jobs.train import Model
from jobs.user_batches import filters, user_batch
from models.encoding import EncodedItems
from models.index import use_threads
from models.modelfiles import load_model
from models.scoring import Scorer
from models.types import CandidateLists, ScoredLists
from stores.artefact import Artefact, load_artefact
from stores.base import VARIANTS
from stores.control import Control
from stores.records import UNKNOWN_SEGMENT, ListBody, body_hash, encode_body, pack_vector, score_byte

CHAMPION = VARIANTS[0]
LIST_COLUMNS = ("user_id", "items", "embedding", "segment", "region", "maturity_limit", "body", "hash")
LIST_SCHEMA = StructType([RECOMMENDATIONS.schema[name] for name in LIST_COLUMNS])


@dataclass(frozen=True)
class Inputs:
    """What a worker loads, by path: hashable, so that a process loads it once."""

    artefacts: Path
    artefact_id: str
    encoded: Path
    model: Path
    retrieval: Retrieval
    now: float


def run(
    lake: Lake, hour: Hour, settings: Settings, model: Model, built: Built, control: Control, now: datetime
) -> Scored:
    """Score every user active before the end of `hour`, and replace the hour's partition of recommendations.

    A list counts as changed when the readers of the store, whose control record is `control`, do not have it, or were
    given it for this very hour: so a re-run leaves the same partition whether or not it was published in between.
    Users whom an earlier attempt had planned without its rows becoming visible are scored, and count as changed, too.

    Raises:
        DataError: the artefact was made with another model, or user_features for another hour.
    """
    if built.model_id != model.model_id:
        raise DataError(
            f"the artefact of {hour} was made with model {built.model_id}, deployed is {model.model_id}: "
            "run that hour's `serving_artefact` first"
        )
    ledger = Ledger(lake, control.store_id)
    ledger.heal(control, now)
    left = ledger.left_behind(control)
    touched = None if left is None else left.where(F.col("variant") == CHAMPION).select("user_id")
    artefact_id = built.artefact_id
    versions = lake.versions(ITEMS, USER_FEATURES, POPULARITY, PUBLISHED)
    inputs = Inputs(
        settings.artefacts_path,
        artefact_id,
        encoded_folder(settings, artefact_id),
        model.folder,
        settings.retrieval,
        hour.end.timestamp(),
    )
    lists = score(_active(lake, hour, settings, lake.read(PUBLISHED), touched), inputs).persist(StorageLevel.DISK_ONLY)
    try:
        count = lists.count()
        changed = _changed(lists, lake.read(PUBLISHED), hour, control.store_id, touched)
        where: dict[str, str | int | date] = {"date": hour.date, "hour": hour.start.hour, "variant": CHAMPION}
        rows = changed.withColumns(
            {"model_id": F.lit(model.model_id), **{name: F.lit(value) for name, value in where.items()}}
        )
        lake.replace(RECOMMENDATIONS, rows, where)
    finally:
        lists.unpersist()
    written = (
        lake.read(RECOMMENDATIONS)
        .where((F.col("date") == hour.date) & (F.col("hour") == hour.start.hour) & (F.col("variant") == CHAMPION))
        .count()
    )
    result = Scored(model.model_id, model.version, artefact_id, count, written, count - written, versions)
    save(settings, hour, result)
    return result


def _active(lake: Lake, hour: Hour, settings: Settings, published: DataFrame, touched: DataFrame | None) -> DataFrame:
    """Users to score: those active in the window, those whose live row has other limits, and those `touched`.

    Raises:
        DataError: user_features are those of another hour.
    """
    users = lake.need(USER_FEATURES, "`topshelf run`")
    if not users.where(F.col("as_of") != F.lit(hour.end)).isEmpty():
        raise DataError(f"user_features are not those of {hour}: run that hour's `user_features` first")
    live = published.where(F.col("variant") == CHAMPION).select(
        "user_id", F.struct("region", "maturity_limit").alias("live_limits")
    )
    start = window_start(hour.end, settings.features.activity_window_days)
    seen = F.col("last_active").isNotNull() if start is None else F.col("last_active") >= F.lit(start)
    limits_moved = F.col("live_limits").isNotNull() & ~F.col("live_limits").eqNullSafe(
        F.struct("region", "maturity_limit")
    )
    joined = _marked(users.join(live, on="user_id", how="left"), touched)
    return joined.where(F.coalesce(seen, F.lit(False)) | limits_moved | F.col("touched")).select(
        "user_id",
        F.transform(F.filter("recent_watches", lambda w: w["liked"]), lambda w: w["item_no"]).alias("liked"),
        "watched",
        "favorite_genres",
        "watches",
        "age_band",
        "gender",
        "region",
        "subscription_tier",
        "maturity_limit",
    )


def _marked(users: DataFrame, touched: DataFrame | None) -> DataFrame:
    """`users` with a column `touched`: whether an earlier attempt had planned them and readers did not see it."""
    if touched is None:
        return users.withColumn("touched", F.lit(False))
    marks = touched.withColumn("touched", F.lit(True))
    return users.join(marks, on="user_id", how="left").withColumn("touched", F.coalesce("touched", F.lit(False)))


def _changed(lists: DataFrame, published: DataFrame, hour: Hour, store_id: str, touched: DataFrame | None) -> DataFrame:
    live = published.where(
        (F.col("variant") == CHAMPION) & (F.col("store_id") == F.lit(store_id)) & (F.col("hour") != F.lit(hour.start))
    ).select("user_id", F.col("hash").alias("live_hash"))
    joined = _marked(lists.join(live, on="user_id", how="left"), touched)
    differs = ~F.col("hash").eqNullSafe(F.col("live_hash"))
    return joined.where(differs | F.col("touched")).select(*LIST_COLUMNS)


def score(users: DataFrame, inputs: Inputs) -> DataFrame:
    """One row of LIST_COLUMNS a user. The model and index are loaded once in each Python worker."""

    def worker(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        artefact, scorer = _load(inputs)
        for batch in batches:
            for start in range(0, len(batch), inputs.retrieval.batch_users):
                yield _score_batch(batch.slice(start, inputs.retrieval.batch_users), artefact, scorer)

    return users.mapInArrow(worker, LIST_SCHEMA)


@lru_cache(maxsize=1)
def _load(inputs: Inputs) -> tuple[Artefact, Scorer]:
    artefact = load_artefact(inputs.artefacts, inputs.artefact_id, verify=False)
    catalogue = arrays_of(artefact)
    # Spark runs a worker a core: more threads in each would only fight.
    torch.set_num_threads(1)
    use_threads(1)
    scorer = Scorer(
        load_model(inputs.model),
        EncodedItems.load(inputs.encoded),
        catalogue,
        candidate_lists(artefact, inputs.retrieval),
        inputs.retrieval,
        inputs.now,
    )
    return artefact, scorer


def candidate_lists(artefact: Artefact, retrieval: Retrieval) -> CandidateLists:
    """The artefact's lists, cut to what retrieval takes of each."""
    empty = np.zeros(0, np.int32)
    by_genre = np.full((len(artefact.genre_names), retrieval.per_genre), -1, np.int32)
    for number, name in enumerate(artefact.genre_names):
        best = artefact.popular.get(f"genre:{name}", empty)[: retrieval.per_genre]
        by_genre[number, : len(best)] = best
    return CandidateLists(
        similar=np.asarray(artefact.similar[:, : retrieval.per_watch]),
        by_genre=by_genre,
        trending=artefact.popular.get("trending", empty)[: retrieval.trending],
        new=artefact.popular.get("new", empty)[: retrieval.new],
        popular=artefact.popular["global"],
    )


def _score_batch(batch: pa.RecordBatch, artefact: Artefact, scorer: Scorer) -> pa.RecordBatch:
    users = user_batch(batch, scorer.model.history)
    lists = scorer.score(users, filters(batch, artefact))
    segments = _segments(batch, artefact)
    bodies = [_body(batch, row, users.history[row], lists, segments[row], artefact) for row in range(len(batch))]
    encoded = [encode_body(body) for body in bodies]
    columns = {
        "user_id": batch.column("user_id"),
        "items": _items(lists, users.history, artefact),
        "embedding": pa.array([body.vector for body in bodies], pa.binary()),
        "segment": pa.array([None if s == UNKNOWN_SEGMENT else artefact.segments[s] for s in segments], pa.string()),
        "region": batch.column("region"),
        "maturity_limit": batch.column("maturity_limit"),
        "body": pa.array(encoded, pa.binary()),
        "hash": pa.array([body_hash(body) for body in encoded], pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


def _segments(batch: pa.RecordBatch, artefact: Artefact) -> list[int]:
    number = {name: place for place, name in enumerate(artefact.segments)}
    pairs = zip(batch.column("age_band").to_pylist(), batch.column("region").to_pylist(), strict=True)
    return [number.get(f"{age}/{region}", UNKNOWN_SEGMENT) for age, region in pairs]


def _body(
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


def _items(lists: ScoredLists, history: np.ndarray[Any, Any], artefact: Artefact) -> pa.Array:
    """The lists as analysts read them: an array of structs a user, anchors by name."""
    kept = lists.item_no >= 0
    offsets = np.concatenate([[0], np.cumsum(kept.sum(1))]).astype(np.int32)
    item_no = lists.item_no[kept]
    ids = pa.array(artefact.item_ids, pa.string())
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
