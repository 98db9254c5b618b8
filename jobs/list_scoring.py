"""Lists of users, worked out in Spark's Python workers: what each worker loads, and what it makes of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pyspark.sql import DataFrame
from pyspark.sql.types import BooleanType, StructField, StructType

from conf.settings import Retrieval
from jobs.catalogue import arrays_of
from jobs.list_rows import list_body, list_items, segments
from jobs.tables import RECOMMENDATIONS
from jobs.user_batches import filters, user_batch
from models.blend import SIMPLER as SIMPLER_ORDER
from models.encoding import EncodedItems
from models.modelfiles import load_usable
from models.scoring import Scorer
from models.types import CandidateLists
from stores.artefact import Artefact, load_artefact
from stores.records import UNKNOWN_SEGMENT, body_hash, encode_body

LIST_COLUMNS = ("user_id", "items", "embedding", "segment", "region", "maturity_limit", "body", "hash")
SIMPLER = StructField("simpler", BooleanType(), False)
"""Whether a simpler order made the list in place of the ranker."""
SCORED_SCHEMA = StructType([*(RECOMMENDATIONS.schema[name] for name in LIST_COLUMNS), SIMPLER])


@dataclass(frozen=True)
class Inputs:
    """What a worker loads, by path: hashable, so that a process loads it once."""

    artefacts: Path
    artefact_id: str
    encoded: Path
    model: Path
    retrieval: Retrieval
    now: float


def score(users: DataFrame, inputs: Inputs) -> DataFrame:
    """One row of SCORED_SCHEMA a user. The model and index are loaded once in each Python worker."""

    def worker(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        artefact, scorer = load(inputs)
        for batch in batches:
            for start in range(0, len(batch), inputs.retrieval.batch_users):
                yield score_batch(batch.slice(start, inputs.retrieval.batch_users), artefact, scorer)

    return users.mapInArrow(worker, SCORED_SCHEMA)


@lru_cache(maxsize=1)
def load(inputs: Inputs) -> tuple[Artefact, Scorer]:
    artefact = load_artefact(inputs.artefacts, inputs.artefact_id, verify=False)
    catalogue = arrays_of(artefact)
    # Spark runs a worker a core: more threads in each would only fight.
    torch.set_num_threads(1)
    scorer = Scorer(
        load_usable(inputs.model)[0],
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


def score_batch(batch: pa.RecordBatch, artefact: Artefact, scorer: Scorer) -> pa.RecordBatch:
    users = user_batch(batch, scorer.model.history)
    lists = scorer.score(users, filters(batch, artefact))
    named = segments(batch, artefact)
    bodies = [list_body(batch, row, users.history[row], lists, named[row], artefact) for row in range(len(batch))]
    encoded = [encode_body(body) for body in bodies]
    columns = {
        "user_id": batch.column("user_id"),
        "items": list_items(lists, users.history, artefact),
        "embedding": pa.array([body.vector for body in bodies], pa.binary()),
        "segment": pa.array([None if s == UNKNOWN_SEGMENT else artefact.segments[s] for s in named], pa.string()),
        "region": batch.column("region"),
        "maturity_limit": batch.column("maturity_limit"),
        "body": pa.array(encoded, pa.binary()),
        "hash": pa.array([body_hash(body) for body in encoded], pa.string()),
        "simpler": pa.array(lists.simpler | (scorer.model.order == SIMPLER_ORDER)),
    }
    return pa.RecordBatch.from_pydict(columns)
