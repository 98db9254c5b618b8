"""From users to ranked lists: candidates, filters, the ranker, the cut. Whole batches at a time.

A user's list depends on that user alone: every batch is padded to one size, and logits are put on a grid before
they are ordered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from conf.settings import Retrieval
from conf.vocabulary import NO_ANCHOR, NO_GENRE
from models.candidates import Gatherer
from models.encoding import EncodedItems
from models.gathering import Candidates
from models.index import ItemIndex
from models.item_item import ItemScores
from models.modelfiles import Model, load_model
from models.ordering import cut, order_keys
from models.ranking import Known, Ranking
from models.types import (
    LOGIT_GRID,
    Bools,
    Bytes,
    CandidateLists,
    CatalogueArrays,
    Filters,
    Floats,
    Ints,
    Longs,
    ScoredLists,
    UserBatch,
)

LOGIT_LIMIT = 100.0


class Scorer:
    """Lists for users, with the model, the catalogue and the candidate lists of one hour."""

    def __init__(
        self,
        model: Model | Path,
        encoded: EncodedItems,
        catalogue: CatalogueArrays,
        lists: CandidateLists,
        retrieval: Retrieval,
        now: float,
    ) -> None:
        """model: or its folder, which is verified; encoded: encode_items of the catalogue; now: epoch seconds."""
        self.model = load_model(model) if isinstance(model, Path) else model
        self.encoded, self.catalogue, self.lists, self.retrieval = encoded, catalogue, lists, retrieval
        self.live = catalogue.active & (catalogue.available_from <= now) & (now < catalogue.available_until)
        self.gatherer = Gatherer(
            catalogue, self.live, lists, ItemScores(self.model.item_item, len(encoded.vectors)), retrieval
        )
        index = ItemIndex(encoded.vectors, self.live, retrieval.batch_users)
        self.ranking = Ranking(self.model, encoded, index, retrieval)

    def item_vectors(self) -> Floats:
        """(n, d) of all items, those newer than the model included."""
        return self.encoded.vectors

    def score(self, users: UserBatch, filters: Filters) -> ScoredLists:
        """The best retrieval.list_size items of each user, by logit, then item_no; fewer only if no more may be seen.

        Neither the other users nor their order or number change what a user gets, to the byte.
        """
        size = self.retrieval.batch_users
        parts = [self._batch(*padded(users, filters, start, size)) for start in range(0, len(users), size)]
        if not parts:
            parts = [self._batch(*padded(users, filters, 0, size))]
        whole = [np.concatenate(arrays)[: len(users)] for arrays in zip(*parts, strict=True)]
        return ScoredLists(*whole)

    def pool(self, users: UserBatch, filters: Filters) -> tuple[Ints, Floats]:
        """(B, total) candidates of each user, best place first, and their blend.FEATURES (B, total, F)."""
        parts = []
        for start in range(0, len(users), self.retrieval.batch_users):
            with torch.inference_mode():
                known, found = self.candidates(*padded(users, filters, start, self.retrieval.batch_users))
                parts.append((found.item_no, self.ranking.features(known, found)))
        whole = [np.concatenate(arrays)[: len(users)] for arrays in zip(*parts, strict=True)]
        return whole[0], whole[1]

    @torch.inference_mode()
    def logit_of(self, users: UserBatch, filters: Filters, item_no: Ints) -> Floats:
        """(B,) the calibrated logit of one item (B,) a user, as if it were the last candidate where it is none."""
        parts, size = [], self.retrieval.batch_users
        for start in range(0, len(users), size):
            part = item_no[start : start + size]
            asked = np.concatenate([part, np.full(size - len(part), -1, np.int32)])
            known, found = self.candidates(*padded(users, filters, start, size), asked)
            place = (found.item_no == asked[:, None]).argmax(1)
            parts.append(self.ranking.logits(known, found)[0][np.arange(size), place])
        return np.concatenate(parts)[: len(users)]

    def candidates(self, users: UserBatch, filters: Filters, asked: Ints | None = None) -> tuple[Known, Candidates]:
        """Of one whole batch; asked: see Gatherer.gather."""
        known = self.ranking.known(users)
        return known, self.gatherer.gather(users.history, filters, known.products, asked)

    @torch.inference_mode()
    def _batch(self, users: UserBatch, filters: Filters) -> tuple[Ints, Ints, Bytes, Bytes, Floats, Bools]:
        known, found = self.candidates(users, filters)
        logit_q, simpler = self.grid(known, found)
        rows = self.cut(found.item_no, logit_q)
        items = np.take_along_axis(found.item_no, rows, 1)
        there = items >= 0
        return (
            items,
            np.where(there, np.take_along_axis(logit_q, rows, 1), 0),
            np.where(there, np.take_along_axis(found.source, rows, 1), 0),
            np.where(there, np.take_along_axis(found.anchor, rows, 1), NO_ANCHOR).astype(np.uint8),
            known.side.vectors.numpy(),
            simpler,
        )

    def grid(self, known: Known, found: Candidates) -> tuple[Ints, Bools]:
        """(B, C) logits in whole steps of 1 / LOGIT_GRID; (B,) where they are of the simpler order."""
        logits, simpler = self.ranking.logits(known, found)
        return np.rint(np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT) * LOGIT_GRID).astype(np.int32), simpler

    def cut(self, item_no: Ints, logit_q: Ints) -> Longs:
        """(B, list_size) places of the items kept, best first: no primary genre above its share while others last."""
        size = self.retrieval.list_size
        genre = np.where(item_no < 0, NO_GENRE, self.catalogue.primary_genre[np.maximum(item_no, 0)]).astype(np.uint8)
        return cut(order_keys(logit_q, item_no), genre, size, max(1, int(self.retrieval.genre_share * size)))


def padded(users: UserBatch, filters: Filters, start: int, size: int) -> tuple[UserBatch, Filters]:
    """Users start … start+size, filled up with users who know nothing and may see nothing."""
    rows = slice(start, min(start + size, len(users)))
    more = size - (rows.stop - rows.start)

    def grown(array: NDArray[Any], value: float) -> NDArray[Any]:
        return np.concatenate([array[rows], np.full((more, *array.shape[1:]), value, array.dtype)])

    offsets, items = filters.watched
    own = offsets[rows.start : rows.stop + 1]
    flat = (np.concatenate([own - own[0], np.full(more, own[-1] - own[0])]), items[own[0] : own[-1]])
    return (
        UserBatch(
            grown(users.history, -1),
            {name: [*values[rows], *[None] * more] for name, values in users.profile.items()},
            grown(users.watches, 0),
        ),
        Filters(flat, grown(filters.maturity_limit, 0), grown(filters.region_bit, 0), grown(filters.genre_weights, 0)),
    )
