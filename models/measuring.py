"""The scoring of an hour over held-out users, and measures of the lists that it makes, as they would be stored."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pyarrow as pa

from conf.settings import Settings
from conf.vocabulary import EVERYWHERE, NO_GENRE
from models import content
from models.blend import Pool
from models.cowatch import CoWatched
from models.encoding import EncodedItems
from models.evaluation import Cases
from models.modelfiles import Model
from models.scoring import Scorer
from models.similar import similar_items
from models.types import CandidateLists, CatalogueArrays, Filters, Floats, Ints, Longs, UserBatch


class Trial:
    """A model as it would score an hour of its own examples.

    Nothing is hidden by maturity, region or licence, for a held-out item was watched whatever the rules of today
    say; candidate lists are counted on the same examples as the model.
    """

    def __init__(self, model: Model, encoded: EncodedItems, items: pa.Table, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self.genres = content.genre_matrix(items, model.genres)
        lists = counted_lists(encoded.vectors, self.genres, model.positives, model.item_item.near, settings)
        self.scorer = Scorer(model, encoded, open_catalogue(self.genres), lists, settings.retrieval, now=0.0)

    def filters(self, users: UserBatch, seen: tuple[Longs, Ints]) -> Filters:
        """Of users who may see all that they have not: seen, the offsets (B+1,) and flat item_no."""
        return Filters(
            seen,
            np.zeros(len(users), np.uint8),
            np.full(len(users), EVERYWHERE, np.uint64),
            genre_weights(users.history, self.genres, self.settings.features.genre_step),
        )

    def pool(self, cases: Cases) -> Pool:
        """Their candidates, as far as those have relevant items."""
        found = [
            Pool.of(*self.scorer.pool(part.users, self.filters(part.users, part.seen)), part.relevant)
            for part in cases.chunks(self.settings.retrieval.batch_users)
        ]
        return Pool(*(np.concatenate([getattr(part, f.name) for part in found]) for f in fields(Pool)))

    def ranked(self, cases: Cases) -> Ints:
        """(B, list_size) item_no of the lists, best first, -1 padded."""
        if not len(cases):
            return np.full((0, self.settings.retrieval.list_size), -1, np.int32)
        ranked = [
            self.scorer.score(part.users, self.filters(part.users, part.seen)).item_no
            for part in cases.chunks(self.settings.retrieval.batch_users)
        ]
        return np.concatenate(ranked)


def open_catalogue(genres: Floats) -> CatalogueArrays:
    """n items that everybody may see; genres (n, G), the first 64 of which are told apart."""
    n, count = len(genres), min(genres.shape[1], 64)
    bits = np.zeros(n, np.uint64)
    for genre in range(count):
        bits |= genres[:, genre].astype(np.uint64) << np.uint64(genre)
    # The rarest of an item's genres says most about it where the order of genres is not at hand.
    last = count - 1 - genres[:, :count][:, ::-1].argmax(1) if count else np.zeros(n, np.int64)
    return CatalogueArrays(
        np.ones(n, bool),
        np.zeros(n, np.uint8),
        np.full(n, EVERYWHERE, np.uint64),
        np.full(n, -np.inf),
        np.full(n, np.inf),
        bits,
        np.where(bits > 0, last, NO_GENRE).astype(np.uint8),
    )


def counted_lists(
    vectors: Floats, genres: Floats, positives: Longs, near: CoWatched, settings: Settings
) -> CandidateLists:
    """Candidate lists by the number of positives; the trend is popularity, and nothing counts as new."""
    retrieval = settings.retrieval
    order = np.lexsort((np.arange(len(positives)), -positives)).astype(np.int32)
    ranked = order[positives[order] > 0]
    by_genre = np.full((genres.shape[1], retrieval.per_genre), -1, np.int32)
    for genre in range(genres.shape[1]):
        best = ranked[genres[ranked, genre] > 0][: retrieval.per_genre]
        by_genre[genre, : len(best)] = best
    similar, _ = similar_items(vectors, np.ones(len(vectors), bool), near, retrieval.per_watch)
    return CandidateLists(
        similar,
        by_genre,
        ranked[: retrieval.trending],
        np.zeros(0, np.int32),
        ranked[: retrieval.fallback_list],
    )


def genre_weights(history: Ints, genres: Floats, step: float) -> Floats:
    """(B, G) `step` for each watch of the history in the genre."""
    there = (history >= 0).astype(np.float32)
    total = np.einsum("bh,bhg->bg", there, genres[np.maximum(history, 0)])
    return np.asarray(total * step, np.float32)
