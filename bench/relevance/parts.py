"""Topshelf's own parts alone, over the whole catalogue, from what a run has left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import duckdb
import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from bench.peers import CHUNK, padded
from bench.relevance.pipeline import Stored
from bench.relevance.splits import Split
from conf.hours import Hour
from jobs import manifests
from jobs.catalogue import arrays_of
from jobs.list_scoring import candidate_lists
from jobs.scan import readable
from jobs.tables import USER_FEATURES
from jobs.user_batches import filters, user_batch
from models.encoding import EncodedItems
from models.evaluation import TOP, mask, top_items
from models.item_item import ItemScores
from models.modelfiles import load_model
from models.scoring import Scorer
from models.types import Floats, Ints, Longs


@dataclass(frozen=True)
class Run:
    """A run's stored lists and what they were made with. users (T,): ids of the measured ones."""

    stored: Stored
    split: Split
    users: Sequence[str]

    @cached_property
    def scorer(self) -> Scorer:
        """The hour's own scoring, with every item a candidate and no limit on a genre's share."""
        settings, catalogue, n = self.stored.settings, self.stored.catalogue, len(self.stored.number)
        every = settings.retrieval.model_copy(
            update={"ann": n, "total": n, "list_size": min(TOP, n), "genre_share": 1.0, "batch_users": CHUNK}
        )
        hour = Hour.parse(catalogue.made_for)
        made = manifests.scored(settings, hour)
        return Scorer(
            load_model(settings.models_path / made.model_id),
            EncodedItems.load(manifests.encoded_folder(settings, made.artefact_id)),
            arrays_of(catalogue),
            candidate_lists(catalogue, every),
            every,
            hour.end.timestamp(),
        )

    def batches(self) -> Iterator[tuple[Longs, pa.RecordBatch]]:
        """user_features of the users who have a list, as scoring reads them, and their rows among the measured."""
        place = {user: row for row, user in enumerate(self.users)}
        with duckdb.connect() as database:
            features = DeltaTable(f"{self.stored.settings.lake_root}/{USER_FEATURES.name}")
            database.register("features", readable(features))
            database.register(
                "wanted", pa.table({"user_id": pa.array(self.users).filter(pa.array(self.stored.listed))})
            )
            found = database.sql(
                """
                SELECT user_id, list_transform(list_filter(recent_watches, lambda w: w.liked), lambda w: w.item_no)
                       AS liked, watched, favorite_genres, watches, age_band, gender, region, subscription_tier,
                       maturity_limit
                FROM features SEMI JOIN wanted USING (user_id)
                """
            ).to_arrow_table()
        for batch in found.to_batches(CHUNK):
            yield np.array([place[user] for user in batch.column("user_id").to_pylist()], np.int64), batch

    def best(self, parts: Iterable[tuple[Longs, Floats]]) -> Ints:
        """(T, TOP) the best of the ranked items by scores (B, n) of the measured users at rows (B,).

        The others keep what is stored.
        """
        found = self.stored.lists.copy()
        for rows, scores in parts:
            seen = self.split.training.seen(self.split.measured[rows])
            ranked = top_items(mask(np.where(self.split.among, scores, np.float32(-np.inf)), seen))
            found[rows] = padded(ranked, TOP)
        return found


def two_tower(run: Run) -> Ints:
    """By the product of the user's stored vector with each item's."""
    items, vectors = run.stored.catalogue.vectors[run.stored.number], run.stored.vectors
    listed = np.flatnonzero(run.stored.listed)
    chunks = (listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK))
    return run.best((rows, np.asarray(vectors[rows, : items.shape[1]] @ items.T, np.float32)) for rows in chunks)


def item_item(run: Run) -> Ints:
    """By the scores of the model's item-item part."""
    model = run.scorer.model
    told = ItemScores(model.item_item, len(run.stored.number))

    def scored(batch: pa.RecordBatch) -> Floats:
        return np.asarray(told.scores(user_batch(batch, model.history).history), np.float32)[:, run.stored.number]

    return run.best((rows, scored(batch)) for rows, batch in run.batches())


def ranker(run: Run) -> Ints:
    """By what orders the candidates of a list, with every item a candidate."""
    found = run.stored.lists.copy()
    for rows, batch in run.batches():
        users = user_batch(batch, run.scorer.model.history)
        numbers = run.scorer.score(users, filters(batch, run.stored.catalogue)).item_no[:, :TOP]
        found[rows] = padded(np.where(numbers >= 0, run.stored.item[numbers], np.int32(-1)), TOP)
    return found


PARTS: dict[str, Callable[[Run], Ints]] = {
    "Topshelf: two towers": two_tower,
    "Topshelf: item-item": item_item,
    "Topshelf: ranker": ranker,
}
