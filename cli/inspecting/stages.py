"""The stages of the batch for one user, with one item watched on its way through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models import candidates
from models.ordering import order_keys
from models.scoring import Scorer, padded
from models.types import LOGIT_GRID, Bytes, Filters, Floats, Ints, UserBatch


@dataclass(frozen=True)
class Stages:
    """Places are from 0; None: it has none."""

    product: float
    """Of the user's and the item's vector."""
    nearest: int | None
    """Place among all live items by that product; None: it is not live."""
    ann: int | None
    """Place among those of the nearest that pass the filter, as many as are taken."""
    co_watched: int | None
    """Place among those that the item-item model takes for the user, as many as are taken."""
    similar: tuple[int, int] | None
    """item_no of the watch that it is most similar to by place, and its place in that list, as far as it is read."""
    genres: tuple[tuple[int, float, bool, int | None], ...]
    """Of each of its genres: number, the user's weight, whether the genre's popular items were looked into for the
    user, and its place among them, as far as they are read."""
    trending: int | None
    new: int | None
    candidate: tuple[int, int, int] | None
    """Its place among the candidates, the source that it is kept for, and the anchor there."""
    candidates: int
    """How many the user has."""
    logit: float
    """Of the ranker, calibrated, without any context."""
    ranked: int
    """Place by the ranker among the candidates; of an item that is none, where it would stand."""
    kept: int | None
    """Place in the list."""
    kept_of_genre: int
    """Items of its primary genre in the list."""
    made: tuple[int, ...]
    """The list: item_nos, best first."""


class StagedScorer(Scorer):
    """The scorer of the batch, which also says what it did to one item. Same inputs, same list, to the byte."""

    @torch.inference_mode()
    def trace(self, users: UserBatch, filters: Filters, item_no: int) -> Stages:
        """users, filters: of one user."""
        users, filters = padded(users, filters, 0, self.retrieval.batch_users)
        known, found = self.candidates(users, filters)
        vector, numbers = known.side.vectors.numpy()[0], found.item_no
        logit_q, _ = self.grid(known, found)
        place = _place(numbers[0], item_no)
        if place is None:
            # In the stead of another one, for the same product of another shape differs in its last bits.
            asked = np.full(len(users), item_no, np.int32)
            instead = self.gatherer.gather(users.history, filters, known.products, asked)
            own = int(self.grid(known, instead)[0][0, -1])
        else:
            own = int(logit_q[0, place])
        there = numbers[0] >= 0
        order = np.sort(order_keys(logit_q[0], numbers[0])[there])
        made = np.take_along_axis(numbers, self.cut(numbers, logit_q), 1)[0]
        made = made[made >= 0]
        genre = self.catalogue.primary_genre[item_no]
        return Stages(
            product=float(self.encoded.vectors[item_no] @ vector),
            nearest=self._nearest(vector, item_no),
            ann=_place(found.nearest[0], item_no),
            co_watched=_place(found.co_watched[0], item_no),
            similar=self._similar(users.history, item_no),
            genres=self._genres(filters.genre_weights[0], item_no),
            trending=_place(self.lists.trending[: self.retrieval.trending], item_no),
            new=_place(self.lists.new[: self.retrieval.new], item_no),
            candidate=None if place is None else (place, int(found.source[0, place]), int(found.anchor[0, place])),
            candidates=int(there.sum()),
            logit=own / LOGIT_GRID,
            ranked=int(np.searchsorted(order, order_keys(np.array([own], np.int32), np.array([item_no], np.int32))[0])),
            kept=_place(made, item_no),
            kept_of_genre=int((self.catalogue.primary_genre[made] == genre).sum()),
            made=tuple(made.tolist()),
        )

    def _nearest(self, vector: Floats, item_no: int) -> int | None:
        if not self.live[item_no]:
            return None
        product = self.encoded.vectors @ vector
        return int((product[self.live] > product[item_no]).sum())

    def _similar(self, history: Ints, item_no: int) -> tuple[int, int] | None:
        watched = candidates.anchors(history, self.retrieval.watches)[0]
        found = [
            (place, anchor)
            for anchor in watched[watched >= 0].tolist()
            if (place := _place(self.lists.similar[anchor, : self.retrieval.per_watch], item_no)) is not None
        ]
        return (min(found)[1], min(found)[0]) if found else None

    def _genres(self, weights: Floats, item_no: int) -> tuple[tuple[int, float, bool, int | None], ...]:
        bits = int(self.catalogue.genres[item_no])
        lists = self.lists.by_genre[:, : self.retrieval.per_genre]
        heaviest = np.argsort(-weights, kind="stable")[: candidates.MAX_GENRES]
        read = set(heaviest[weights[heaviest] > self.retrieval.genre_weight].tolist())
        return tuple(
            (number, float(weights[number]), number in read, _place(lists[number], item_no))
            for number in range(len(lists))
            if bits >> number & 1
        )


def _place(numbers: Ints | Bytes, item_no: int) -> int | None:
    found = np.flatnonzero(numbers == item_no)
    return int(found[0]) if len(found) else None
