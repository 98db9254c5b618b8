"""The two towers: a user and an item, each a vector, whose inner product says how well they match.

Items enter both towers through one table, after Covington et al., "Deep Neural Networks for YouTube
Recommendations", 2016, and "Sampling-Bias-Corrected Neural Modeling", Yi et al., 2019 (the logQ correction).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.content import Bags
from models.dropout import Dropout
from models.types import PROFILE_FIELDS, Longs

SEQUENCE, POOLED = "sequence", "pooled"
RATES: dict[str, tuple[float, ...]] = {SEQUENCE: (1.0, 0.97, 0.85, 0.5, 0.0), POOLED: (1.0,)}
"""Encoders of a history, by the weight that a watch keeps for each newer one: the sequence encoder reads a mean, three
moving averages and the last watch; the pooled one the mean alone, for which order is nothing."""
PROFILE_DIM = 16
MAX_LOG_WATCHES = 10.0
FIRST_SCALE = 10.0
"""Length of a user's vector before any learning, the inverse of the softmax's temperature."""


@dataclass(frozen=True)
class TowerShape:
    """Everything the towers' layers depend on.

    items: item_no below this have a row in the id table; tokens: size of the content vocabulary;
    profile: for each of PROFILE_FIELDS the number of known values; encoder: one of RATES.
    """

    items: int
    tokens: int
    profile: tuple[int, ...]
    dim: int
    hidden: tuple[int, ...]
    dropout: float
    encoder: str = SEQUENCE


class ResidualHead(nn.Module):
    """A linear skip beside an MLP that begins at zero, so that learning starts from the linear model."""

    def __init__(self, wide: int, skip: int, hidden: Sequence[int], dim: int, dropout: float) -> None:
        super().__init__()
        self.skip = nn.Linear(skip, dim, bias=False)
        with torch.no_grad():
            self.skip.weight.zero_()
            self.skip.weight[:, :dim].copy_(torch.eye(dim))
        layers: list[nn.Module] = []
        width = wide
        for size in hidden:
            layers += [nn.Linear(width, size), nn.GELU(), Dropout(dropout)]
            width = size
        last = nn.Linear(width, dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.mlp = nn.Sequential(*layers, last)

    def forward(self, skip: Tensor, wide: Tensor) -> Tensor:
        """skip (m, skip), wide (m, wide) → (m, dim)."""
        out: Tensor = self.skip(skip) + self.mlp(wide)
        return out


class TwoTower(nn.Module):
    """Vectors of users and items. d = shape.dim, K = rates of the encoder.

    One table serves both towers: an item's vector is the one by which histories enter the user tower.
    """

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.shape = shape
        d = shape.dim
        self.rates = RATES[shape.encoder]
        self.ids = nn.Embedding(shape.items, d)
        self.tokens = nn.EmbeddingBag(max(shape.tokens, 1), d, mode="mean")
        nn.init.normal_(self.ids.weight, std=d**-0.5)
        nn.init.normal_(self.tokens.weight, std=d**-0.5)
        tables = [nn.Embedding(1 + known, PROFILE_DIM) for known in shape.profile]
        for table in tables:
            nn.init.normal_(table.weight, std=0.1)
        self.profile = nn.ModuleList(tables)
        features = PROFILE_DIM * len(PROFILE_FIELDS) + 1
        pooled = d * len(self.rates)
        self.user_norm: nn.Module = nn.LayerNorm(pooled) if shape.encoder == SEQUENCE else nn.Identity()
        self.user_dropout = Dropout(shape.dropout if shape.encoder == SEQUENCE else 0.0)
        if shape.encoder == SEQUENCE:
            self.user_head = ResidualHead(pooled + features, pooled, shape.hidden, d, shape.dropout)
        else:
            self.user_head = ResidualHead(features, pooled, (), d, shape.dropout)
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))

    def item_inputs(self, item_no: Tensor, token_ids: Tensor, offsets: Tensor, keep_id: Tensor) -> Tensor:
        """(m, d) vectors by which items enter both towers.

        item_no (m,); token_ids and offsets (m,) are the items' bags; keep_id (m,) 0 where the id is left out,
        which is always so for items newer than the table.
        """
        known = item_no < self.shape.items
        own: Tensor = self.ids(torch.where(known, item_no, 0)) * (keep_id * known)[:, None]
        if self.shape.tokens:
            own = own + self.tokens(token_ids, offsets)
        return own

    def items(self, inputs: Tensor) -> Tensor:
        """(m, d) input vectors → (m, d) item vectors, whose lengths tell how popular items are."""
        return inputs

    def users(self, inputs: Tensor, history: Tensor, profile: Tensor, watches: Tensor) -> Tensor:
        """(B, d) user vectors; their inner product with an item vector is a logit.

        inputs (U, d); history (B, H) rows of inputs, right-aligned, -1 padded; profile (B, 4); watches (B,).
        """
        return self.head(self.pool(inputs, history), profile, watches)

    def head(self, pooled: Tensor, profile: Tensor, watches: Tensor) -> Tensor:
        """(B, d) user vectors from pooled (B, K * d), profile (B, 4) and watches (B,)."""
        features = [table(profile[:, place]) for place, table in enumerate(self.profile)]
        seen = torch.log1p(watches.float()).clamp(max=MAX_LOG_WATCHES)[:, None] / MAX_LOG_WATCHES
        wide = torch.cat([*features, seen], 1)
        pooled = self.user_dropout(self.user_norm(pooled))
        if self.shape.encoder == SEQUENCE:
            wide = torch.cat([pooled, wide], 1)
        return F.normalize(self.user_head(pooled, wide), dim=1, eps=1e-6) * self.log_scale.exp()

    def pool(self, inputs: Tensor, history: Tensor) -> Tensor:
        """(B, K * d) weighted means of the history's input vectors; zeros without a history."""
        there = (history >= 0).float()
        age = torch.arange(history.shape[1] - 1, -1, -1, device=history.device, dtype=torch.float32)
        weights = torch.stack([torch.pow(torch.tensor(rate), age) for rate in self.rates])  # (K, H)
        weights = weights[None] * there[:, None]  # (B, K, H)
        weights = weights / weights.sum(2, keepdim=True).clamp(min=1e-6)
        # Bags add rows up as they read them: to gather (B, H, d) first is mostly writing and takes 10 times as long.
        rows = history.clamp(min=0)
        means = [F.embedding_bag(rows, inputs, per_sample_weights=kept, mode="sum") for kept in weights.unbind(1)]
        return torch.cat(means, 1)

    def pool_before(self, inputs: Tensor, history: Tensor) -> Tensor:
        """(B, H, K * d): at place j what `pool` makes of the watches before it.

        history (B, H): as for `pool`, but left-aligned.
        """
        there = (history >= 0).float()
        place = torch.arange(history.shape[1], device=history.device, dtype=torch.float32)
        age = place[:, None] - 1 - place[None, :]  # (H, H)
        earlier = (age >= 0).float()
        weights = torch.stack([torch.pow(torch.tensor(rate), age.clamp(min=0)) * earlier for rate in self.rates])
        weights = weights / weights.sum(2, keepdim=True).clamp(min=1e-6)  # (K, H, H)
        rows = inputs[history.clamp(min=0)] * there[..., None]  # (B, H, d)
        return torch.matmul(weights[None], rows[:, None]).permute(0, 2, 1, 3).flatten(2)


def bags_of(bags: Bags, item_no: Longs) -> tuple[Longs, Longs]:
    """The bags of some items, back to back: flat token ids and the offset of each item's first."""
    lengths = bags.offsets[item_no + 1] - bags.offsets[item_no]
    starts = np.cumsum(lengths) - lengths
    places = np.repeat(bags.offsets[item_no] - starts, lengths) + np.arange(lengths.sum())
    return bags.ids[places], starts
