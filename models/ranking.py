"""What candidates are ordered by: the features of each user and item, and their blend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from conf.settings import Retrieval
from models.batches import profile_numbers
from models.blend import FEATURES, LEARNT, SIMPLER_SHIFT, SIMPLER_WEIGHTS
from models.encoding import EncodedItems, popularity_features
from models.gathering import Candidates
from models.highest import Products
from models.index import ItemIndex
from models.modelfiles import Model
from models.ordering import rank_terms
from models.ranker import UserSide, genre_shares
from models.types import Bools, Floats, Ints, UserBatch

RANKED_TOGETHER = 16
"""Users whose candidates go through the ranker at once: their activations fit the processor's cache."""
DOT, MATCH = FEATURES.index("two_tower"), FEATURES.index("genre")
HEAD = 2
"""The network is asked about this many times as many candidates as a list holds, the best without it."""


@dataclass(frozen=True)
class Known:
    """Of a batch of users: what the ranker reads, the products of their vectors with the items' (valid until others
    are asked for), and whose vector the tower gave no numbers for (B,): it says nothing then, as that of a user who
    did nothing.
    """

    side: UserSide
    products: Products
    lost: Tensor


class Ranking:
    """Features and logits of batches of candidates; batches of one shape give each user the same bytes."""

    def __init__(self, model: Model, encoded: EncodedItems, index: ItemIndex, retrieval: Retrieval) -> None:
        self.model, self.index, self.retrieval = model, index, retrieval
        self.inputs = _tensor(encoded.inputs)
        self.genres = _tensor(encoded.genres)
        self.halves = _tensor(np.concatenate([encoded.half, encoded.product], axis=1))
        self.widths = [encoded.half.shape[1], encoded.product.shape[1]]
        popularity, known = popularity_features(model.positives, len(encoded.vectors))
        self.popularity = popularity * known

    def known(self, users: UserBatch) -> Known:
        history = torch.from_numpy(users.history.astype(np.int64))
        profile = torch.from_numpy(profile_numbers(users.profile, self.model.vocabularies))
        watches = torch.from_numpy(users.watches)
        vectors = self.model.tower.users(self.inputs, history, profile, watches)
        lost = ~torch.isfinite(vectors).all(1)
        vectors = torch.where(lost[:, None], 0.0, vectors)
        side = UserSide(vectors, genre_shares(history, self.genres), profile, watches)
        return Known(side, self.index.products(vectors), lost)

    def logits(self, known: Known, found: Candidates) -> tuple[Floats, Bools]:
        """(B, C) calibrated logits of the candidates, out of any context; (B,) where those would not be numbers, and
        are of the simpler order."""
        ranker = self.model.ranker
        scale, shift = ranker.calibration.tolist()
        features, weights = self._plain(known, found), ranker.blend
        # Feature by feature, for a matrix product may add in another order where the shape is another.
        logits = features[0] * weights[0]
        for place in range(1, LEARNT):
            logits += features[place] * weights[place]
        if weights[LEARNT] != 0:
            logits += weights[LEARNT] * self._learnt_of_head(known, found.item_no, logits, features)
        logits = logits * scale + shift
        lost = known.lost | ~torch.isfinite(logits).all(1)
        if lost.any():
            logits[lost] = _simpler([feature[lost] for feature in features])
        return np.asarray(logits.numpy(), np.float32), np.asarray(lost.numpy(), bool)

    def features(self, known: Known, found: Candidates) -> Floats:
        """(B, C, F) all of blend.FEATURES of the candidates."""
        plain = self._plain(known, found)
        learnt = self._learnt(known, found.item_no, plain[DOT], plain[MATCH])
        return np.asarray(torch.stack([*plain, learnt], dim=2).numpy(), np.float32)

    def _plain(self, known: Known, found: Candidates) -> list[Tensor]:
        """The blend.FEATURES of the candidates, (B, C) each, but for what the network learnt."""
        items, slots = found.item_no, _slots(found.item_no)
        missing = items < 0
        dot = self.index.at(known.products, known.side.vectors, items)
        parts = []
        for start in range(0, len(slots), RANKED_TOGETHER):
            rows = slice(start, start + RANKED_TOGETHER)
            genres = F.embedding(slots[rows], self.genres)
            parts.append(torch.bmm(genres, known.side.genres[rows, :, None])[..., 0])
        arrays = [
            dot,
            rank_terms(dot, missing),
            found.score,
            rank_terms(found.score, missing),
            found.recent,
            rank_terms(found.recent, missing),
            self.popularity[np.maximum(items, 0)],
        ]
        return [*map(torch.from_numpy, arrays), torch.cat(parts)]

    def _learnt_of_head(self, known: Known, item_no: Ints, logits: Tensor, plain: Sequence[Tensor]) -> Tensor:
        """(B, C) what the network adds to the candidates that can still enter a list; to others, the least of these."""
        width = min(HEAD * self.retrieval.list_size, item_no.shape[1])
        places = torch.where(torch.from_numpy(item_no < 0), -torch.inf, logits).topk(width, dim=1).indices
        items = np.take_along_axis(item_no, places.numpy(), 1)
        own = self._learnt(known, items, plain[DOT].gather(1, places), plain[MATCH].gather(1, places))
        return own.amin(1, keepdim=True).repeat(1, item_no.shape[1]).scatter_(1, places, own)

    def _learnt(self, known: Known, item_no: Ints, dot: Tensor, match: Tensor) -> Tensor:
        """(B, C) what the network adds to the inner products with the items (B, C)."""
        items, ranker = _slots(item_no), self.model.ranker
        half, product = ranker.users(known.side)
        parts = []
        for start in range(0, len(items), RANKED_TOGETHER):
            rows = slice(start, start + RANKED_TOGETHER)
            item_half, item_product = torch.split(F.embedding(items[rows], self.halves), self.widths, dim=2)
            parts.append(ranker.learnt((half[rows], product[rows]), (item_half, item_product), dot[rows], match[rows]))
        return torch.cat(parts)


def _simpler(features: Sequence[Tensor]) -> Tensor:
    """(B, C) by blend.SIMPLER_WEIGHTS, of (B, C) each; features that are no numbers count as 0."""
    parts = [torch.nan_to_num(features[FEATURES.index(name)], 0, 0, 0) * by for name, by in SIMPLER_WEIGHTS.items()]
    return torch.stack(parts).sum(0) + SIMPLER_SHIFT


def _slots(item_no: Ints) -> Tensor:
    return torch.from_numpy(np.maximum(item_no, 0).astype(np.int64))


def _tensor(array: Floats) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))
