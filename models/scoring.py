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
from torch import Tensor
from torch.nn import functional as F

from conf.settings import Retrieval
from conf.vocabulary import NO_ANCHOR, NO_GENRE
from models import candidates
from models.batches import profile_numbers
from models.encoding import EncodedItems
from models.index import ItemIndex
from models.modelfiles import Model, load_model
from models.ranker import UserSide, genre_shares
from models.types import (
    LOGIT_GRID,
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

RANKED_TOGETHER = 16
"""Users whose candidates go through the ranker at once: their activations fit the processor's cache."""
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
        self.inputs = _tensor(encoded.inputs)
        self.genres = _tensor(encoded.genres)
        columns = (encoded.vectors, encoded.genres, encoded.half, encoded.product)
        self.widths = [array.shape[1] for array in columns]
        self.table = _tensor(np.concatenate(columns, axis=1))

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

    @torch.inference_mode()
    def _batch(self, users: UserBatch, filters: Filters) -> tuple[Ints, Ints, Bytes, Bytes, Floats]:
        history = torch.from_numpy(users.history.astype(np.int64))
        profile = torch.from_numpy(profile_numbers(users.profile, self.model.vocabularies))
        watches = torch.from_numpy(users.watches)
        vectors = self.model.tower.users(self.inputs, history, profile, watches)
        found = self.index.search(vectors.numpy(), self.retrieval.ann + SPARE)
        keys = self._candidates(users.history, found, filters)
        item_no = candidates.items_of(keys)
        side = UserSide(vectors, genre_shares(history, self.genres), profile, watches)
        logits = self._logits(side, torch.from_numpy(np.maximum(item_no, 0).astype(np.int64)))
        logit_q = np.rint(np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT) * LOGIT_GRID).astype(np.int32)
        rows = self._cut(item_no, logit_q)
        picked = candidates.unpack(np.take_along_axis(keys, rows, 1))
        there = picked.item_no >= 0
        return (
            picked.item_no,
            np.where(there, np.take_along_axis(logit_q, rows, 1), 0),
            np.where(there, picked.source, 0).astype(np.uint8),
            np.where(there, picked.anchor, NO_ANCHOR).astype(np.uint8),
            vectors.numpy(),
        )

    def _candidates(self, history: Ints, found: Ints, filters: Filters) -> Longs:
        """(B, total) keys of what each user may see, best place first."""
        found = candidates.compact(np.where(self._eligible(found, filters), found, -1), self.retrieval.ann)
        keys = candidates.gather(history, found, filters.genre_weights, self.lists, self.retrieval)
        keys = candidates.keep(keys, self._eligible(candidates.items_of(keys), filters), self.retrieval.total)
        if (keys[:, self.retrieval.list_size - 1] == candidates.NOTHING).any():
            popular = self.lists.popular
            may = self._eligible(np.broadcast_to(popular, (len(keys), len(popular))), filters)
            keys = candidates.fill(keys, popular, may, self.retrieval.list_size)
        return keys

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

    def _logits(self, side: UserSide, items: Tensor) -> Floats:
        """(B, C) calibrated deep(u, i)."""
        ranker = self.model.ranker
        scale, shift = ranker.calibration.tolist()
        half, product = ranker.users(side)
        parts = []
        for start in range(0, len(items), RANKED_TOGETHER):
            rows = slice(start, start + RANKED_TOGETHER)
            gathered = F.embedding(items[rows], self.table)
            vectors, genres, item_half, item_product = torch.split(gathered, self.widths, dim=2)
            dot = torch.bmm(vectors, side.vectors[rows, :, None])[..., 0]
            match = torch.bmm(genres, side.genres[rows, :, None])[..., 0]
            parts.append(ranker.pair((half[rows], product[rows]), (item_half, item_product), dot, match))
        return np.asarray((torch.cat(parts) * scale + shift).numpy(), np.float32)

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


def _tensor(array: Floats) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))
