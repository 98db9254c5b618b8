"""The two towers: a user and an item, each a vector, whose inner product says how well they match.

Items enter both towers through one table, after Covington et al., "Deep Neural Networks for YouTube
Recommendations", 2016, and "Sampling-Bias-Corrected Neural Modeling", Yi et al., 2019 (the logQ correction).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.content import Bags
from models.types import PROFILE_FIELDS, Longs

DECAYS = (1.0, 0.97, 0.85, 0.5, 0.0)
"""Weight that a watch keeps for each newer one: a mean, three moving averages, the last watch."""
PROFILE_DIM = 16
MAX_LOG_WATCHES = 10.0


@dataclass(frozen=True)
class TowerShape:
    """Everything the towers' layers depend on.

    items: item_no below this have a row in the id table; tokens: size of the content vocabulary;
    profile: for each of PROFILE_FIELDS the number of known values.
    """

    items: int
    tokens: int
    profile: tuple[int, ...]
    dim: int
    hidden: tuple[int, ...]
    dropout: float


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
            layers += [nn.Linear(width, size), nn.GELU(), nn.Dropout(dropout)]
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
    """Vectors of users and items. d = shape.dim."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.shape = shape
        d = shape.dim
        self.ids = nn.Embedding(shape.items, d)
        self.tokens = nn.EmbeddingBag(max(shape.tokens, 1), d, mode="mean")
        nn.init.normal_(self.ids.weight, std=d**-0.5)
        nn.init.normal_(self.tokens.weight, std=d**-0.5)
        self.item_head = ResidualHead(d, d, shape.hidden, d, shape.dropout)
        tables = [nn.Embedding(1 + known, PROFILE_DIM) for known in shape.profile]
        for table in tables:
            nn.init.normal_(table.weight, std=0.1)
        self.profile = nn.ModuleList(tables)
        pooled = d * len(DECAYS)
        self.user_norm = nn.LayerNorm(pooled)
        extra = PROFILE_DIM * len(PROFILE_FIELDS) + 1
        self.user_head = ResidualHead(pooled + extra, pooled, shape.hidden, d, shape.dropout)
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(10.0))))

    def item_inputs(self, item_no: Tensor, token_ids: Tensor, offsets: Tensor, keep_id: Tensor) -> Tensor:
        """(m, d) unit vectors by which items enter both towers.

        item_no (m,); token_ids and offsets (m,) are the items' bags; keep_id (m,) 0 where the id is left out,
        which is always so for items newer than the table.
        """
        known = item_no < self.shape.items
        own = self.ids(torch.where(known, item_no, 0)) * (keep_id * known)[:, None]
        if self.shape.tokens:
            own = own + self.tokens(token_ids, offsets)
        return F.normalize(own, dim=1, eps=1e-6)

    def items(self, inputs: Tensor) -> Tensor:
        """(m, d) input vectors → (m, d) unit item vectors."""
        return F.normalize(self.item_head(inputs, inputs), dim=1, eps=1e-6)

    def users(self, inputs: Tensor, history: Tensor, profile: Tensor, watches: Tensor) -> Tensor:
        """(B, d) user vectors; their inner product with an item vector is a logit.

        inputs (U, d); history (B, H) rows of inputs, right-aligned, -1 padded; profile (B, 4); watches (B,).
        """
        pooled = self.user_norm(self.pool(inputs, history))
        features = [table(profile[:, place]) for place, table in enumerate(self.profile)]
        seen = torch.log1p(watches.float()).clamp(max=MAX_LOG_WATCHES)[:, None] / MAX_LOG_WATCHES
        wide = torch.cat([pooled, *features, seen], 1)
        return F.normalize(self.user_head(pooled, wide), dim=1, eps=1e-6) * self.log_scale.exp()

    def pool(self, inputs: Tensor, history: Tensor) -> Tensor:
        """(B, len(DECAYS) * d) weighted means of the history's input vectors; zeros without a history."""
        there = (history >= 0).float()
        age = torch.arange(history.shape[1] - 1, -1, -1, device=history.device, dtype=torch.float32)
        weights = torch.stack([torch.pow(torch.tensor(decay), age) for decay in DECAYS])  # (K, H)
        weights = weights[None] * there[:, None]  # (B, K, H)
        weights = weights / weights.sum(2, keepdim=True).clamp(min=1e-6)
        rows = inputs[history.clamp(min=0)]  # (B, H, d)
        return torch.bmm(weights, rows).flatten(1)


def bags_of(bags: Bags, item_no: Longs) -> tuple[Longs, Longs]:
    """The bags of some items, back to back: flat token ids and the offset of each item's first."""
    lengths = bags.offsets[item_no + 1] - bags.offsets[item_no]
    starts = np.cumsum(lengths) - lengths
    places = np.repeat(bags.offsets[item_no] - starts, lengths) + np.arange(lengths.sum())
    return bags.ids[places], starts
