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
from models import candidates
from models.encoding import EncodedItems
from models.index import ItemIndex
from models.modelfiles import Model, load_model
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

SPARE = 128
"""Items searched beyond retrieval.ann, to stand in for those that filters take away."""
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
        self.index = ItemIndex(encoded.vectors, self.live, retrieval.batch_users)
        self.ranking = Ranking(self.model, encoded, retrieval)

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
                own, limits = padded(users, filters, start, self.retrieval.batch_users)
                known = self.ranking.known(own)
                item_no = candidates.items_of(self._candidates(known, limits))
                features = self.ranking.features(known, item_no)
                parts.append((item_no, features))
        whole = [np.concatenate(arrays)[: len(users)] for arrays in zip(*parts, strict=True)]
        return whole[0], whole[1]

    @torch.inference_mode()
    def logit_of(self, users: UserBatch, filters: Filters, item_no: Ints) -> Floats:
        """(B,) the calibrated logit of one item (B,) a user, as if it were the last candidate where it is none."""
        parts = []
        for start in range(0, len(users), self.retrieval.batch_users):
            batch, limits = padded(users, filters, start, self.retrieval.batch_users)
            known = self.ranking.known(batch)
            numbers = candidates.items_of(self._candidates(known, limits))
            asked = item_no[start : start + len(numbers)]
            own = np.concatenate([asked, np.full(len(numbers) - len(asked), -1, np.int32)])[:, None]
            absent = ~(numbers == own).any(1)
            numbers[absent, -1] = own[absent, 0]
            place = (numbers == own).argmax(1)
            parts.append(self.ranking.logits(known, numbers)[0][np.arange(len(numbers)), place])
        return np.concatenate(parts)[: len(users)]

    @torch.inference_mode()
    def _batch(self, users: UserBatch, filters: Filters) -> tuple[Ints, Ints, Bytes, Bytes, Floats, Bools]:
        known = self.ranking.known(users)
        keys = self._candidates(known, filters)
        item_no = candidates.items_of(keys)
        logit_q, simpler = self._grid(known, item_no)
        rows = self._cut(item_no, logit_q)
        picked = candidates.unpack(np.take_along_axis(keys, rows, 1))
        there = picked.item_no >= 0
        return (
            picked.item_no,
            np.where(there, np.take_along_axis(logit_q, rows, 1), 0),
            np.where(there, picked.source, 0).astype(np.uint8),
            np.where(there, picked.anchor, NO_ANCHOR).astype(np.uint8),
            known.side.vectors.numpy(),
            simpler,
        )

    def _candidates(self, known: Known, filters: Filters) -> Longs:
        """(B, total) keys of what each user may see, best place first."""
        retrieval = self.retrieval
        nearest = self.nearest(known, filters)
        co_watched = self.co_watched(known, filters)
        back = self.ranking.item_scores.anchors(known.history, co_watched, retrieval.watches)
        keys = candidates.gather(
            known.history, nearest, (co_watched, back), filters.genre_weights, self.lists, retrieval
        )
        keys = candidates.keep(keys, self._eligible(candidates.items_of(keys), filters), retrieval.total)
        if (keys[:, retrieval.list_size - 1] == candidates.NOTHING).any():
            popular = self.lists.popular
            may = self._eligible(np.broadcast_to(popular, (len(keys), len(popular))), filters)
            keys = candidates.fill(keys, popular, may, retrieval.list_size)
        return keys

    def nearest(self, known: Known, filters: Filters) -> Ints:
        """(B, ann) the nearest in the two-tower space that each user may see, best first, -1 padded."""
        found = self.index.search(known.side.vectors.numpy(), self.retrieval.ann + SPARE)
        return candidates.compact(np.where(self._eligible(found, filters), found, -1), self.retrieval.ann)

    def co_watched(self, known: Known, filters: Filters) -> Ints:
        """(B, item_item) those with the highest item-item scores above 0 that each user may see, likewise."""
        width = min(self.retrieval.item_item + SPARE, known.item_scores.shape[1])
        best = known.item_scores.topk(width, dim=1)
        scores, found = best.values.numpy(), best.indices.numpy().astype(np.int32)
        order = np.lexsort((found, -scores), axis=1)
        found = np.take_along_axis(np.where(scores > 0, found, -1), order, 1)
        return candidates.compact(np.where(self._eligible(found, filters), found, -1), self.retrieval.item_item)

    def _eligible(self, items: Ints, filters: Filters) -> NDArray[np.bool_]:
        """(B, C) whether each user may see the item: the rules of rerank.allowed, for a whole batch."""
        slot = np.maximum(items, 0)
        good = (items >= 0) & self.live[slot]
        good &= self.catalogue.maturity[slot] <= filters.maturity_limit[:, None]
        good &= (self.catalogue.licensed[slot] & filters.region_bit[:, None]) != 0
        offsets, watched = filters.watched
        n = np.int64(len(self.live))
        owners = np.repeat(np.arange(len(items), dtype=np.int64), np.diff(offsets))
        seen = np.sort(owners * n + watched)
        if len(seen):
            keys = np.arange(len(items), dtype=np.int64)[:, None] * n + slot
            place = np.minimum(np.searchsorted(seen, keys), len(seen) - 1)
            good &= seen[place] != keys
        return good

    def _grid(self, known: Known, items: Ints) -> tuple[Ints, Bools]:
        """(B, C) logits in whole steps of 1 / LOGIT_GRID; (B,) where they are of the simpler order."""
        logits, simpler = self.ranking.logits(known, items)
        return np.rint(np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT) * LOGIT_GRID).astype(np.int32), simpler

    def _cut(self, item_no: Ints, logit_q: Ints) -> Longs:
        """(B, list_size) places of the items kept, best first: no primary genre above its share while others last."""
        size = self.retrieval.list_size
        missing = item_no < 0
        order = np.argsort(order_key(missing, logit_q, item_no), axis=1, kind="stable")
        genre = np.where(missing, NO_GENRE, self.catalogue.primary_genre[np.maximum(item_no, 0)])
        sorted_genre = np.take_along_axis(genre, order, 1)
        limit = max(1, int(self.retrieval.genre_share * size))
        over = (_occurrence(sorted_genre) >= limit) & (sorted_genre != NO_GENRE)
        last = np.take_along_axis(missing, order, 1).astype(np.int8) * 2 + over
        places = np.sort(np.argsort(last, axis=1, kind="stable")[:, :size], axis=1)
        return np.take_along_axis(order, places, 1)


def order_key(missing: NDArray[np.bool_], logit_q: Ints, item_no: Ints) -> Longs:
    """Keys that sort by logit, highest first, then item_no; missing ones last."""
    keys = (-logit_q.astype(np.int64) << 32) + item_no
    return np.where(missing, np.iinfo(np.int64).max, keys)


def _occurrence(values: NDArray[np.uint8]) -> Longs:
    """(B, C) how many equal values stand before each one in its row."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, 1)
    place = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    fresh = np.ones(values.shape, bool)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    start = np.maximum.accumulate(np.where(fresh, place, 0), axis=1)
    count = np.empty(values.shape, np.int64)
    np.put_along_axis(count, order, place - start, 1)
    return count


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
