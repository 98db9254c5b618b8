"""Topshelf's own parts alone, from what a run has left: the towers, and the ranker without candidates before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import duckdb
import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from bench.peers import CHUNK, rank
from bench.relevance.pipeline import Stored
from bench.relevance.splits import Split
from conf.hours import Hour
from jobs import manifests
from jobs.catalogue import arrays_of
from jobs.scan import readable
from jobs.score import candidate_lists
from jobs.tables import USER_FEATURES
from jobs.user_batches import filters, user_batch
from models.encoding import EncodedItems
from models.evaluation import TOP
from models.modelfiles import load_model
from models.scoring import Scorer
from models.types import Ints

Part = Callable[[Stored, Split, Sequence[str]], Ints | None]
"""(T, TOP) items for the measured users, named by the sequence; None where the model has no such part."""


def two_tower(stored: Stored, split: Split, users: Sequence[str]) -> Ints | None:
    """By the product of the user's stored vector with each item's: the whole catalogue, seen items left out."""
    items = stored.catalogue.vectors[stored.number]
    place = np.zeros(split.training.users, np.int64)
    place[split.measured] = np.arange(len(split.measured))
    ranked = rank(split, lambda wanted: stored.vectors[place[wanted], : items.shape[1]] @ items.T)
    return np.where(stored.listed[:, None], ranked, stored.lists)


def ranker(stored: Stored, split: Split, users: Sequence[str]) -> Ints | None:
    """By the hour's own scoring with every item a candidate, and no limit on a genre's share."""
    settings, catalogue, n = stored.settings, stored.catalogue, len(stored.number)
    every = settings.retrieval.model_copy(
        update={"ann": n, "total": n, "list_size": min(TOP, n), "genre_share": 1.0, "batch_users": CHUNK}
    )
    made = manifests.scored(settings, Hour.parse(catalogue.made_for))
    model = load_model(settings.models_path / made.model_id)
    encoded = EncodedItems.load(manifests.encoded_folder(settings, made.artefact_id))
    now = Hour.parse(catalogue.made_for).end.timestamp()
    scorer = Scorer(model, encoded, arrays_of(catalogue), candidate_lists(catalogue, every), every, now)
    found = stored.lists.copy()
    place = {user: row for row, user in enumerate(users)}
    for batch in _features(stored, users).to_batches(CHUNK):
        lists = scorer.score(user_batch(batch, model.history), filters(batch, catalogue)).item_no[:, :TOP]
        for user, numbers in zip(batch.column("user_id").to_pylist(), lists, strict=True):
            found[place[user], : len(numbers)] = np.where(numbers >= 0, stored.item[numbers], -1)
    return found


def _features(stored: Stored, users: Sequence[str]) -> pa.Table:
    """user_features of the users who have a list, as scoring reads them."""
    with duckdb.connect() as database:
        database.register("features", readable(DeltaTable(f"{stored.settings.lake_root}/{USER_FEATURES.name}")))
        database.register("wanted", pa.table({"user_id": pa.array(users).filter(pa.array(stored.listed))}))
        return database.sql(
            """
            SELECT user_id, watched,
                   list_transform(list_filter(recent_watches, lambda w: w.liked), lambda w: w.item_no) AS liked,
                   favorite_genres, watches, age_band, gender, region, subscription_tier, maturity_limit
            FROM features SEMI JOIN wanted USING (user_id)
            """
        ).to_arrow_table()


PARTS: dict[str, Part] = {"Topshelf: two towers": two_tower, "Topshelf: ranker": ranker}
