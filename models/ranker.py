"""The ranker: logit(u, i, context) = blend(u, i) + c(context) · v(i).

Its network learns what to add to the towers' inner product, and what it adds is one feature of the blend
(models/blend.py). The network's first layer is a sum of a user's half, an item's half and a few cross features, so
that scoring works each half out once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.blend import FEATURES, SIMPLER_SHIFT, SIMPLER_WEIGHTS
from models.dropout import Dropout
from models.types import PROFILE_FIELDS

CONTEXT_DIM = 8
PROFILE_DIM = 8
PRODUCT_DIM = 16
DAYPARTS, WEEKDAYS = 4, 7
POPULARITY_DROPOUT = 0.1
"""Share of items trained on as if their popularity were unknown, as that of an item newer than the model is."""


@dataclass(frozen=True)
class RankerShape:
    """Everything the ranker's layers depend on.

    dim: of the towers' vectors; genres: number of known genres; profile: known values of each of PROFILE_FIELDS;
    pages, positions: rows of their tables, row 0 unknown.
    """

    dim: int
    genres: int
    profile: tuple[int, ...]
    pages: int
    positions: int
    hidden: tuple[int, ...]
    dropout: float


@dataclass(frozen=True)
class UserSide:
    """Of B users: their tower vectors (B, d), share of each genre in the history (B, G), profile (B, 4), watches."""

    vectors: Tensor
    genres: Tensor
    profile: Tensor
    watches: Tensor


@dataclass(frozen=True)
class ItemSide:
    """Of items (…): tower vectors (…, d), genres with length 1 (…, G), popularity (…), years (…, 2).

    popularity: log1p of the positives, less its mean; popular_known (…): 0 where it is unknown.
    """

    vectors: Tensor
    genres: Tensor
    popularity: Tensor
    popularity_known: Tensor
    years: Tensor

    def take(self, rows: Tensor) -> ItemSide:
        return ItemSide(
            self.vectors[rows],
            self.genres[rows],
            self.popularity[rows],
            self.popularity_known[rows],
            self.years[rows],
        )

    def features(self) -> Tensor:
        """(…, d + G + 4)"""
        loose = torch.stack([self.popularity, self.popularity_known], -1)
        return torch.cat([self.vectors, self.genres, loose * self.popularity_known[..., None], self.years], -1)


class Ranker(nn.Module):
    """See the module. `blend`: weights of blend.FEATURES, at first the inner product's alone.

    The tables of the context term, zeros at first, are fitted apart from the network (models/context.py).
    """

    def __init__(self, shape: RankerShape) -> None:
        super().__init__()
        self.shape = shape
        user = shape.dim + shape.genres + PROFILE_DIM * len(PROFILE_FIELDS) + 1
        item = shape.dim + shape.genres + 4
        self.profile = nn.ModuleList(nn.Embedding(1 + known, PROFILE_DIM) for known in shape.profile)
        self.user_half = nn.Linear(user, shape.hidden[0])
        self.item_half = nn.Linear(item, shape.hidden[0], bias=False)
        self.cross_half = nn.Linear(PRODUCT_DIM + 2, shape.hidden[0], bias=False)
        self.user_product = nn.Linear(shape.dim, PRODUCT_DIM, bias=False)
        self.item_product = nn.Linear(shape.dim, PRODUCT_DIM, bias=False)
        widths = list(shape.hidden)
        self.deeper = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.last = nn.Linear(widths[-1], 1, bias=False)
        nn.init.zeros_(self.last.weight)
        self.dropout = Dropout(shape.dropout)
        self.dot_scale = nn.Parameter(torch.ones(()))
        self.position = nn.Embedding(shape.positions, 1)
        nn.init.zeros_(self.position.weight)
        self.base = nn.Parameter(torch.zeros(()))
        self.popularity_dropout = POPULARITY_DROPOUT
        regions = 1 + shape.profile[PROFILE_FIELDS.index("region")]
        self.register_buffer("page", torch.zeros(shape.pages, CONTEXT_DIM))
        self.register_buffer("daypart", torch.zeros(regions, DAYPARTS, CONTEXT_DIM))
        self.register_buffer("weekday", torch.zeros(WEEKDAYS, CONTEXT_DIM))
        self.register_buffer("context_item", torch.zeros(CONTEXT_DIM, 2 * shape.genres))
        self.page: Tensor
        self.daypart: Tensor
        self.weekday: Tensor
        self.context_item: Tensor
        self.register_buffer("blend", torch.eye(len(FEATURES))[0].clone())
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))
        self.blend: Tensor
        self.calibration: Tensor

    def users(self, side: UserSide) -> tuple[Tensor, Tensor]:
        """The user's half of the first layer (B, h) and of the product (B, PRODUCT_DIM)."""
        unit = nn.functional.normalize(side.vectors, dim=1, eps=1e-6)
        tables = [table(side.profile[:, place]) for place, table in enumerate(self.profile)]
        seen = torch.log1p(side.watches.float())[:, None] / 5
        half = self.user_half(torch.cat([unit, side.genres, *tables, seen], 1))
        return half, self.user_product(unit)

    def items(self, side: ItemSide) -> tuple[Tensor, Tensor]:
        """The item's half of the first layer (…, h) and of the product (…, PRODUCT_DIM)."""
        return self.item_half(side.features()), self.item_product(side.vectors)

    def learnt(self, users: tuple[Tensor, Tensor], items: tuple[Tensor, Tensor], dot: Tensor, match: Tensor) -> Tensor:
        """What the network adds to the inner product, (B, C) for B users with C items each.

        users: halves (B, h) and (B, p); items: halves (B, C, h) and (B, C, p); dot (B, C): inner product of the
        towers' vectors; match (B, C): how far the user's genres are the item's.
        """
        product = users[1][:, None] * items[1]
        scaled = dot / 10  # inner products reach about ten; the other features about one
        cross = self.cross_half(torch.cat([product, scaled[..., None], match[..., None]], -1))
        hidden = self.dropout(torch.relu(users[0][:, None] + items[0] + cross))
        for layer in self.deeper:
            hidden = self.dropout(torch.relu(layer(hidden)))
        added: Tensor = (self.dot_scale - 1) * dot + self.last(hidden).squeeze(-1)
        return added

    def deep(self, user: UserSide, item: ItemSide) -> Tensor:
        """(B, C) the inner product with what is learnt, by which the network is trained; item (B, C, …)."""
        dot = torch.einsum("bd,bcd->bc", user.vectors, item.vectors)
        match = torch.einsum("bg,bcg->bc", user.genres, item.genres)
        return dot + self.learnt(self.users(user), self.items(item), dot, match)

    def deep_at(self, user: UserSide, side: ItemSide, places: Tensor) -> tuple[Tensor, Tensor]:
        """Inner products of items with B users, and `deep`, (B, C) both, for places (B, C) of one-dimensional `side`.

        An item that stands in many rows has its half worked out once.
        """
        at = nn.functional.embedding
        dot = torch.bmm(at(places, side.vectors), user.vectors[:, :, None])[..., 0]
        match = torch.bmm(at(places, side.genres), user.genres[:, :, None])[..., 0]
        half, product = self.items(side)
        return dot, dot + self.learnt(self.users(user), (at(places, half), at(places, product)), dot, match)

    def context_rows(self, page: Tensor, daypart: Tensor, weekday: Tensor, region: Tensor) -> Tensor:
        """c(context), (B, CONTEXT_DIM); page, daypart, weekday and region (B,) numbers."""
        return self.page[page] + self.daypart[region, daypart] + self.weekday[weekday]

    def context_vectors(self, features: Tensor) -> Tensor:
        """v(i), (…, CONTEXT_DIM), of context.context_features (…, 2 G)."""
        return features @ self.context_item.T


def simpler_ranker(shape: RankerShape) -> Ranker:
    """What stands in for a ranker that cannot be used: it orders by blend.SIMPLER_WEIGHTS and has learnt nothing."""
    ranker = Ranker(shape)
    with torch.no_grad():
        for value in ranker.state_dict().values():
            value.zero_()
        ranker.calibration.copy_(torch.tensor([1.0, SIMPLER_SHIFT]))
        for name, weight in SIMPLER_WEIGHTS.items():
            ranker.blend[FEATURES.index(name)] = weight
    ranker.eval().requires_grad_(False)
    return ranker


def genre_shares(history: Tensor, genres: Tensor) -> Tensor:
    """(B, G) how the genres of the history's items divide: rows sum to 1, or are zeros without any.

    history (B, H) item_no, -1 padded; genres (n, G).
    """
    there = (history >= 0).float()
    total = nn.functional.embedding_bag(history.clamp(min=0), genres, per_sample_weights=there, mode="sum")
    return total / total.sum(1, keepdim=True).clamp(min=1e-6)


def parameter_groups(ranker: Ranker, weight_decay: float) -> Sequence[dict[str, object]]:
    """AdamW groups: the biases of impressions are not decayed."""
    free = {id(ranker.position.weight), id(ranker.base)}
    return [
        {"params": [p for p in ranker.parameters() if id(p) not in free], "weight_decay": weight_decay},
        {"params": [p for p in ranker.parameters() if id(p) in free], "weight_decay": 0.0},
    ]
