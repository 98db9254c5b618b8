"""What the towers learn from some histories: full softmax where the catalogue is small, else a sampled one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from conf.settings import Settings
from models.encoding import Catalogue
from models.sequences import Sequences, Windows
from models.softmax import softmax_loss
from models.tower import SEQUENCE, TwoTower, bags_of
from models.types import Bools, Longs

THINNED = 0.3
"""Share of the watches that a history is learnt from without, so that no single one decides, nor the very next."""
POOLED_DROPOUT = 0.5
"""Share of a history left out where the pooled encoder is to foretell all of it."""
EMPTY = 0.05
"""Share of histories left out whole, so that users without one get more than chance."""


class TowerBatch(NamedTuple):
    """What a step reads, on the device, about m users or places of histories.

    items: U of them, as `TwoTower.item_inputs` takes them; the first `pool` are what a target is told apart from, with
    their correction (pool,) and the targets' rows and cols (t,) as `softmax_loss` takes them; history (B, H): rows of
    the items; wanted (B, H): the m places to be foretold, None with the pooled encoder, for which m is B;
    profile (m, 4); watches (m,).
    """

    items: tuple[Tensor, ...]
    pool: int
    correction: Tensor
    history: Tensor
    wanted: Tensor | None
    profile: Tensor
    watches: Tensor
    rows: Tensor
    cols: Tensor


class TowerStep:
    """The loss of some windows of the histories."""

    def __init__(
        self, tower: TwoTower, catalogue: Catalogue, positives: Longs, sequences: Sequences, settings: Settings
    ) -> None:
        self.tower, self.catalogue, self.sequences, self.settings = tower, catalogue, sequences, settings
        self.device = tower.log_scale.device
        self.share = positives / max(int(positives.sum()), 1)
        self.watched = np.flatnonzero(positives).astype(np.int64)
        self.place = np.full(len(catalogue), -1, np.int64)
        self.begins = np.zeros(len(sequences.items) + 1, bool)
        self.begins[sequences.offsets] = True
        self.upto = np.concatenate([[0], np.cumsum(sequences.target)]).astype(np.int64)

    def targets(self, found: Windows) -> Longs:
        """Examples in each window: a window's first place is one only where the history begins with it."""
        inside = self.upto[found.stop] - self.upto[found.start]
        return np.asarray(inside - (self.sequences.target[found.start] & ~self.begins[found.start]), np.int64)

    def loss(self, batch: TowerBatch) -> Tensor:
        """Mean cross-entropy: of every target given all before it, or of a user's items given a random part of them."""
        inputs = self.tower.item_inputs(*batch.items)
        if batch.wanted is None:
            users = self.tower.users(inputs, batch.history, batch.profile, batch.watches)
        else:
            pooled = self.tower.pool_before(inputs, batch.history)[batch.wanted]
            users = self.tower.head(pooled, batch.profile, batch.watches)
        vectors = self.tower.items(inputs[: batch.pool])
        return softmax_loss(users, vectors, batch.rows, batch.cols, batch.correction)

    def batch(self, found: Windows, rng: np.random.Generator) -> TowerBatch:
        """What the loss of some windows is worked out from."""
        places = found.start[:, None] + np.arange((found.stop - found.start).max())
        inside = places < found.stop[:, None]
        places = np.where(inside, places, 0)
        history = np.where(inside, self.sequences.items[places], -1).astype(np.int64)
        wanted = inside & self.sequences.target[places]
        if self.tower.shape.encoder == SEQUENCE:
            wanted[:, 0] &= self.begins[found.start]
            inside &= rng.random(inside.shape) >= THINNED
            order = np.argsort(~inside, axis=1, kind="stable")
            history, wanted = np.where(inside, history, -1), wanted & inside
            places, history = np.take_along_axis(places, order, 1), np.take_along_axis(history, order, 1)
            return self._every_place(found, places, history, np.take_along_axis(wanted, order, 1), rng)
        return self._every_user(found, history, wanted, rng)

    def _every_place(
        self, found: Windows, places: Longs, history: Longs, wanted: Bools, rng: np.random.Generator
    ) -> TowerBatch:
        items, pool, correction = self._items(history[history >= 0], rng)
        targets = history[wanted]
        return TowerBatch(
            items,
            pool,
            correction,
            self._rows(history),
            self._to(wanted),
            self._to(self.sequences.profile[found.user[np.nonzero(wanted)[0]]]),
            self._to(self.sequences.watches[places[wanted]]),
            self._to(np.arange(len(targets))),
            self._to(self.place[targets]),
        )

    def _every_user(self, found: Windows, history: Longs, wanted: Bools, rng: np.random.Generator) -> TowerBatch:
        items, pool, correction = self._items(history[history >= 0], rng)
        gone = (rng.random(history.shape) < POOLED_DROPOUT) | (rng.random((len(history), 1)) < EMPTY)
        # An item watched twice is one target.
        n = len(self.place)
        pairs = np.unique(np.nonzero(wanted)[0] * n + history[wanted])
        return TowerBatch(
            items,
            pool,
            correction,
            self._rows(np.where(gone, -1, history)),
            None,
            self._to(self.sequences.profile[found.user]),
            self._to(self.sequences.watches[found.stop - 1]),
            self._to(pairs // n),
            self._to(self.place[pairs % n]),
        )

    def _items(self, seen: Longs, rng: np.random.Generator) -> tuple[tuple[Tensor, ...], int, Tensor]:
        """A pool that stands for all watched items, then others among `seen`, as `TwoTower.item_inputs` takes them.

        Also the pool's size, and the log of each of its items' chance to be in it. self.place then holds the row of
        each. The pool is all watched items, or where they are too many those seen and some drawn uniformly.
        """
        n = len(self.watched)
        if n <= self.settings.tower.full_softmax_items:
            pool, correction = self.watched, np.zeros(n, np.float32)
        else:
            uniform = self.settings.tower.negatives
            own = seen[self.share[seen] > 0]
            pool = np.unique(np.concatenate([own, self.watched[rng.integers(0, n, uniform)]]))
            chance = 1 - np.exp(-(len(own) * self.share[pool] + uniform / n))
            correction = np.log(np.maximum(chance, 1e-9)).astype(np.float32)
        wanted = np.concatenate([pool, np.setdiff1d(seen, pool)])
        self.place[wanted] = np.arange(len(wanted))
        keep = (rng.random(len(wanted)) >= self.settings.tower.id_dropout).astype(np.float32)
        ids, offsets = bags_of(self.catalogue.bags, wanted)
        return tuple(self._to(array) for array in (wanted, ids, offsets, keep)), len(pool), self._to(correction)

    def _rows(self, history: Longs) -> Tensor:
        return self._to(np.where(history >= 0, self.place[history], -1))

    def _to(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)
