"""A model's view of a catalogue, worked out once for all users: newer items are in it by their content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from models import content
from models.content import Bags
from models.context import context_features
from models.ranker import ItemSide, Ranker
from models.tower import TwoTower, bags_of
from models.types import Floats, Longs

CHUNK = 4096
"""Items encoded at once. The last chunk is padded, so that an item's bytes do not depend on the catalogue's end."""


@dataclass(frozen=True)
class Catalogue:
    """What models read of n items: token bags, genres (n, G) each row of length 1, years (n, 2).

    context (n, 2 G): see context.context_features.
    """

    bags: Bags
    genres: Floats
    years: Floats
    context: Floats

    def __len__(self) -> int:
        return len(self.bags)


def read_catalogue(items: pa.Table, tokens: Sequence[str], genres: Sequence[str]) -> Catalogue:
    """From the ITEMS columns, row i being item_no i."""
    matrix = content.genre_matrix(items, genres)
    length = np.sqrt(matrix.sum(1, keepdims=True))
    return Catalogue(
        content.encode(items, tokens),
        matrix / np.maximum(length, 1),
        content.years(items),
        context_features(items, genres),
    )


@dataclass(frozen=True)
class EncodedItems:
    """Arrays of n items: all that scoring needs of them.

    inputs (n, d): by which histories enter the user tower; vectors (n, d): the item tower's;
    genres (n, G); half (n, h) and product (n, p): the item's parts of the ranker; context (n, C): v(i).
    """

    inputs: Floats
    vectors: Floats
    genres: Floats
    half: Floats
    product: Floats
    context: Floats

    def save(self, folder: Path) -> None:
        """One .npy a field, which workers map instead of reading."""
        folder.mkdir(parents=True, exist_ok=True)
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> EncodedItems:
        return cls(*(np.load(folder / f"{f.name}.npy", mmap_mode="r", allow_pickle=False) for f in fields(cls)))


def popularity_features(counts: Longs, n: int) -> tuple[Floats, Floats]:
    """log1p of the counts less their mean over items that have any, and 1 where known; (n,) each.

    Items beyond the counts, newer than the model, are unknown.
    """
    logs = np.log1p(counts.astype(np.float32))
    centre = float(logs[counts > 0].mean()) if (counts > 0).any() else 0.0
    values, known = np.zeros(n, np.float32), np.zeros(n, np.float32)
    m = min(n, len(counts))
    values[:m], known[:m] = logs[:m] - np.float32(centre), 1
    return values, known


@torch.no_grad()
def tower_items(tower: TwoTower, catalogue: Catalogue) -> tuple[Tensor, Tensor]:
    """(inputs, vectors) of all items, (n, d) each, without dropout, on the tower's device."""
    was, device = tower.training, tower.log_scale.device
    tower.eval()
    inputs, vectors = [], []
    for start in range(0, len(catalogue), CHUNK):
        item_no = np.minimum(np.arange(start, start + CHUNK), len(catalogue) - 1)
        ids, offsets = bags_of(catalogue.bags, item_no)
        part = tower.item_inputs(
            torch.from_numpy(item_no).to(device),
            torch.from_numpy(ids).to(device),
            torch.from_numpy(offsets).to(device),
            torch.ones(CHUNK, device=device),
        )
        inputs.append(part)
        vectors.append(tower.items(part))
    tower.train(was)
    return torch.cat(inputs)[: len(catalogue)], torch.cat(vectors)[: len(catalogue)]


def item_side(vectors: Tensor, catalogue: Catalogue, counts: Longs) -> ItemSide:
    """What the ranker reads of every item."""
    popularity, known = popularity_features(counts, len(catalogue))
    arrays = (catalogue.genres, popularity, known, catalogue.years)
    return ItemSide(vectors, *(torch.from_numpy(array).to(vectors.device) for array in arrays))


@torch.no_grad()
def encode(tower: TwoTower, ranker: Ranker, catalogue: Catalogue, counts: Longs) -> EncodedItems:
    """All of EncodedItems for a catalogue, on the CPU."""
    inputs, vectors = tower_items(tower, catalogue)
    side = item_side(vectors, catalogue, counts)
    ranker.eval()
    halves, products = [], []
    for start in range(0, len(catalogue), CHUNK):
        rows = torch.arange(start, start + CHUNK, device=vectors.device).clamp(max=len(catalogue) - 1)
        part = side.take(rows)
        half, product = ranker.items(part)
        halves.append(half)
        products.append(product)

    def whole(parts: list[Tensor]) -> Floats:
        return torch.cat(parts)[: len(catalogue)].cpu().numpy()

    return EncodedItems(
        inputs.cpu().numpy(),
        vectors.cpu().numpy(),
        catalogue.genres,
        whole(halves),
        whole(products),
        context_vectors(ranker, catalogue) * float(ranker.calibration[0]),
    )


@torch.no_grad()
def context_vectors(ranker: Ranker, catalogue: Catalogue) -> Floats:
    """(n, C) v(i), on the CPU; not calibrated."""
    return ranker.context_vectors(torch.from_numpy(catalogue.context).to(ranker.context_item.device)).cpu().numpy()


def to_json(value: object) -> str:
    """JSON with sorted keys: equal content gives equal bytes."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False)
