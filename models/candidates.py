"""The first stage: up to `total` candidates a user from six sources, each with where it came from.

An item found by several sources keeps the one in which it stands highest, and of equal places the first in the order
of gathering._queue: so the reason shown is the strongest true one, and reasons vary down a list.

A source more is a member of conf.vocabulary.Source with its label, arrays in gathering.Sources, a line in _queue, and
room for it in the queue that gather makes (and in _depth), for compiled loops do not notice where they write.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from conf.settings import Retrieval
from conf.vocabulary import NO_ANCHOR
from models.gathering import Candidates, Sources, gather
from models.highest import Notes, Products, Rules
from models.item_item import ItemScores
from models.types import Bools, CandidateLists, CatalogueArrays, Filters, Floats, Ints

MAX_GENRES = 10
"""Genres of a user that are looked into, the heaviest first."""


class Gatherer:
    """Candidates of whole batches of users, for the catalogue and the candidate lists of one hour."""

    def __init__(
        self,
        catalogue: CatalogueArrays,
        live: Bools,
        lists: CandidateLists,
        item_scores: ItemScores,
        settings: Retrieval,
    ) -> None:
        """live (n,): which items may be shown at all.

        Raises:
            ValueError: a list, or the item-item model, has items that the catalogue lacks.
        """
        self.settings = settings
        self._rules = (_own(catalogue.maturity), np.where(live, catalogue.licensed, np.uint64(0)))
        self._similar = _own(lists.similar[:, : settings.per_watch])
        self._by_genre = _own(lists.by_genre[:, : settings.per_genre])
        for_all = (lists.new[: settings.new], lists.trending[: settings.trending], lists.popular)
        self._for_all = [_own(items) for items in for_all]
        self._told = item_scores.told(settings.watches)
        self._notes = Notes.of(len(live), self._told.items.shape[1] * len(self._told.kept))
        self._served = 0
        # The loops look into arrays of n without asking whether they have such a place.
        if any(
            items.max(initial=-1) >= len(live)
            for items in (self._similar, self._by_genre, *self._for_all, self._told.items)
        ):
            raise ValueError(f"candidate lists have items beyond the {len(live):,} of the catalogue")

    def gather(self, history: Ints, filters: Filters, products: Products, asked: Ints | None = None) -> Candidates:
        """history (B, H) as in UserBatch. asked (B,): an item of each user that is to be among the candidates, at the
        cost of the last; -1: none.
        """
        batch, settings = len(history), self.settings
        found = Candidates(
            np.full((batch, settings.total), -1, np.int32),
            np.zeros((batch, settings.total), np.uint8),
            np.full((batch, settings.total), NO_ANCHOR, np.uint8),
            np.zeros((batch, settings.total), np.float32),
            np.zeros((batch, settings.total), np.float32),
            np.full((batch, settings.ann), -1, np.int32),
            np.full((batch, settings.item_item), -1, np.int32),
        )
        gather(
            self._served,
            _own(history),
            Rules(*self._rules, *filters.watched, filters.maturity_limit, filters.region_bit),
            products,
            self._told,
            Sources(
                self._similar, settings.watches, self._by_genre, self._liked(filters.genre_weights), *self._for_all
            ),
            np.full(batch, -1, np.int32) if asked is None else asked,
            settings.list_size,
            self._notes,
            found,
        )
        self._served += batch
        return found

    def _liked(self, weights: Floats) -> Ints:
        """(B, g) the genres that are looked into for each user, ascending; G where there are fewer."""
        genres = len(self._by_genre)
        count = min(MAX_GENRES, weights.shape[1], genres)
        heaviest = np.argsort(-weights[:, :genres], axis=1, kind="stable")[:, :count].astype(np.int32)
        liked = np.take_along_axis(weights, heaviest, 1) > self.settings.genre_weight
        return np.sort(np.where(liked, heaviest, np.int32(genres)), axis=1)


def anchors(history: Ints, count: int) -> Ints:
    """(B, count) the last watches, newest first, -1 where there are fewer."""
    padded = np.pad(history, ((0, 0), (max(count - history.shape[1], 0), 0)), constant_values=-1)
    return padded[:, ::-1][:, :count]


def _own(array: NDArray[Any]) -> NDArray[Any]:
    """Contiguous and writeable: one form, for which the loops are compiled once."""
    return np.require(array, requirements=["C", "W"])
