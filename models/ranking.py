"""What candidates are ordered by: the features of each user and item, and their blend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from conf.settings import Retrieval
from models.batches import profile_numbers
from models.blend import FEATURES, LEARNT, RANK_OFFSET, SIMPLER_SHIFT, SIMPLER_WEIGHTS
from models.encoding import EncodedItems, popularity_features
from models.item_item import ItemScores
from models.modelfiles import Model
from models.ranker import UserSide, genre_shares
from models.types import Bools, Floats, Ints, UserBatch

RANKED_TOGETHER = 16
"""Users whose candidates go through the ranker at once: their activations fit the processor's cache."""
HEAD = 2
"""The network is asked about this many times as many candidates as a list holds, the best without it."""


@dataclass(frozen=True)
class Known:
    """Of a batch of users: history as in UserBatch, what the ranker reads, item-item scores of all items (B, n), and
    whose vector the tower gave no numbers for (B,): it says nothing then, as that of a user who did nothing.
    """

    history: Ints
    side: UserSide
    item_scores: Tensor
    lost: Tensor


class Ranking:
    """Features and logits of batches of candidates; batches of one shape give each user the same bytes."""

    def __init__(self, model: Model, encoded: EncodedItems, retrieval: Retrieval) -> None:
        self.model, self.retrieval = model, retrieval
        self.inputs = _tensor(encoded.inputs)
        self.genres = _tensor(encoded.genres)
        columns = (encoded.vectors, encoded.genres, encoded.half, encoded.product)
        self.widths = [array.shape[1] for array in columns]
        self.table = _tensor(np.concatenate(columns, axis=1))
        self.narrow = _tensor(np.concatenate(columns[:2], axis=1))
        self.item_scores = ItemScores(model.item_item, len(encoded.vectors))
        popularity, known = popularity_features(model.positives, len(encoded.vectors))
        self.popularity = _tensor(popularity * known)

    def known(self, users: UserBatch) -> Known:
        history = torch.from_numpy(users.history.astype(np.int64))
        profile = torch.from_numpy(profile_numbers(users.profile, self.model.vocabularies))
        watches = torch.from_numpy(users.watches)
        vectors = self.model.tower.users(self.inputs, history, profile, watches)
        lost = ~torch.isfinite(vectors).all(1)
        vectors = torch.where(lost[:, None], 0.0, vectors)
        side = UserSide(vectors, genre_shares(history, self.genres), profile, watches)
        return Known(users.history, side, self.item_scores.scores(users.history), lost)

    def logits(self, known: Known, item_no: Ints) -> tuple[Floats, Bools]:
        """(B, C) calibrated logits of the candidates item_no (B, C), out of any context; (B,) where those would not be
        numbers, and are of the simpler order."""
        ranker = self.model.ranker
        scale, shift = ranker.calibration.tolist()
        features, weights = self._plain(known, item_no), ranker.blend
        # Feature by feature, for a matrix product may add in another order where the shape is another.
        logits = features[..., 0] * weights[0]
        for place in range(1, LEARNT):
            logits += features[..., place] * weights[place]
        if weights[LEARNT] != 0:
            logits += weights[LEARNT] * self._learnt_of_head(known, item_no, logits)
        logits = logits * scale + shift
        lost = known.lost | ~torch.isfinite(logits).all(1)
        if lost.any():
            logits[lost] = _simpler(features[lost])
        return np.asarray(logits.numpy(), np.float32), np.asarray(lost.numpy(), bool)

    def features(self, known: Known, item_no: Ints) -> Floats:
        """(B, C, F) all of blend.FEATURES of the candidates item_no (B, C)."""
        learnt = self._learnt(known, item_no)[..., None]
        return np.asarray(torch.cat([self._plain(known, item_no), learnt], 2).numpy(), np.float32)

    def _plain(self, known: Known, item_no: Ints) -> Tensor:
        """(B, C, F - 1) the blend.FEATURES of the candidates, but for what the network learnt."""
        items, side = _slots(item_no), known.side
        missing = torch.from_numpy(item_no < 0)
        dots, matches = [], []
        for start in range(0, len(items), RANKED_TOGETHER):
            rows = slice(start, start + RANKED_TOGETHER)
            vectors, genres = torch.split(F.embedding(items[rows], self.narrow), self.widths[:2], dim=2)
            dots.append(torch.bmm(vectors, side.vectors[rows, :, None])[..., 0])
            matches.append(torch.bmm(genres, side.genres[rows, :, None])[..., 0])
        dot = torch.cat(dots)
        co_watched = known.item_scores.gather(1, items)
        recent = self.item_scores.recent(known.history, self.retrieval.watches).gather(1, items)
        return torch.stack(
            [
                dot,
                _rank(dot, missing),
                co_watched,
                _rank(co_watched, missing),
                recent,
                _rank(recent, missing),
                self.popularity[items],
                torch.cat(matches),
            ],
            dim=2,
        )

    def _learnt_of_head(self, known: Known, item_no: Ints, logits: Tensor) -> Tensor:
        """(B, C) what the network adds to the candidates that can still enter a list; to others, the least of these."""
        width = min(HEAD * self.retrieval.list_size, item_no.shape[1])
        places = torch.where(torch.from_numpy(item_no < 0), -torch.inf, logits).topk(width, dim=1).indices
        own = self._learnt(known, np.take_along_axis(item_no, places.numpy(), 1))
        return own.amin(1, keepdim=True).repeat(1, item_no.shape[1]).scatter_(1, places, own)

    def _learnt(self, known: Known, item_no: Ints) -> Tensor:
        """(B, C) what the network adds to the inner products with the items (B, C)."""
        items, side, ranker = _slots(item_no), known.side, self.model.ranker
        half, product = ranker.users(side)
        parts = []
        for start in range(0, len(items), RANKED_TOGETHER):
            rows = slice(start, start + RANKED_TOGETHER)
            gathered = F.embedding(items[rows], self.table)
            vectors, genres, item_half, item_product = torch.split(gathered, self.widths, dim=2)
            dot = torch.bmm(vectors, side.vectors[rows, :, None])[..., 0]
            match = torch.bmm(genres, side.genres[rows, :, None])[..., 0]
            parts.append(ranker.learnt((half[rows], product[rows]), (item_half, item_product), dot, match))
        return torch.cat(parts)


def _simpler(features: Tensor) -> Tensor:
    """(B, C) by blend.SIMPLER_WEIGHTS; features that are no numbers count as 0."""
    known = torch.nan_to_num(features, 0.0, 0.0, 0.0)
    parts = [known[..., FEATURES.index(name)] * weight for name, weight in SIMPLER_WEIGHTS.items()]
    return torch.stack(parts).sum(0) + SIMPLER_SHIFT


def _slots(item_no: Ints) -> Tensor:
    return torch.from_numpy(np.maximum(item_no, 0).astype(np.int64))


def _rank(scores: Tensor, missing: Tensor) -> Tensor:
    """(B, C) -log(RANK_OFFSET + how many candidates have a higher score); those of equal score share a rank."""
    ordered = torch.where(missing, -torch.inf, scores)
    best, order = ordered.sort(dim=1, descending=True, stable=True)
    place = torch.arange(scores.shape[1]).expand_as(order)
    fresh = torch.ones_like(missing)
    fresh[:, 1:] = best[:, 1:] != best[:, :-1]
    shared = torch.where(fresh, place, 0).cummax(1).values
    return -torch.log(RANK_OFFSET + torch.empty_like(scores).scatter_(1, order, shared.to(scores.dtype)))


def _tensor(array: Floats) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))
