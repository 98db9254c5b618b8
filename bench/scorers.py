"""A scorer and users of a synthetic world, for measuring the scoring alone. Nothing is trained.

Users have a taste, items belong to one of a number of themes and have a popularity that falls with their rank, so that
histories overlap as they do in data, and the sources of candidates find some of the same items.
"""

from __future__ import annotations

import numpy as np
import torch

from conf.settings import Settings
from conf.vocabulary import EVERYWHERE
from models.blend import FEATURES
from models.cowatch import CoWatched
from models.encoding import EncodedItems
from models.item_item import ItemItem
from models.measuring import genre_weights, open_catalogue
from models.modelfiles import Model
from models.ranker import PRODUCT_DIM, Ranker, RankerShape
from models.scoring import Scorer
from models.tower import TowerShape, TwoTower
from models.types import PROFILE_FIELDS, CandidateLists, Filters, Floats, Ints, UserBatch

GENRES, THEMES = 20, 200
PROFILE_VALUES = 6
HISTORY = 128
FALL = 0.8
"""An item's share of the watches falls with its rank to this power."""
SHIFT = 4
"""Themes away, at most, that an item similar to another one lies."""


def scorer(items: int, settings: Settings, seed: int) -> Scorer:
    """Of a catalogue of so many items, with layers as the settings have them and random weights."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    profile = (PROFILE_VALUES,) * len(PROFILE_FIELDS)
    shape = TowerShape(items, 0, profile, settings.tower.dim, tuple(settings.tower.hidden), 0.0)
    ranker = Ranker(RankerShape(settings.tower.dim, GENRES, profile, 3, 20, tuple(settings.ranker.hidden), dropout=0.0))
    with torch.no_grad():
        ranker.last.weight.normal_(std=0.3)
        for name in FEATURES:
            ranker.blend[FEATURES.index(name)] = 0.5
    tower = TwoTower(shape)
    for module in (tower, ranker):
        module.eval().requires_grad_(False)
    theme = rng.integers(0, THEMES, items).astype(np.int32)
    vectors = _themed(rng, theme, settings.tower.dim)
    genres = np.zeros((items, GENRES), np.float32)
    genres[np.arange(items), theme % GENRES] = 1
    genres[np.arange(items), rng.integers(0, GENRES, items)] = 1
    genres /= np.linalg.norm(genres, axis=1, keepdims=True)
    similar, weights = _similar(rng, theme, settings.item_item.keep)
    near = CoWatched(np.full(items, 10, np.float32), similar, weights)
    names = {name: [f"{name} {number}" for number in range(PROFILE_VALUES)] for name in PROFILE_FIELDS}
    model = Model(
        tower,
        ranker,
        [],
        [f"Genre {number}" for number in range(GENRES)],
        {**names, "page": ["home", "search"]},
        ItemItem(similar, weights, 0.97, near),
        "blend",
        np.maximum(1e6 / (1 + np.arange(items)) ** FALL, 1).astype(np.int64),
        HISTORY,
        True,
        None,
        {},
    )
    encoded = EncodedItems(
        vectors,
        vectors,
        genres,
        rng.normal(size=(items, settings.ranker.hidden[0])).astype(np.float32),
        rng.normal(size=(items, PRODUCT_DIM)).astype(np.float32),
        np.zeros((items, 8), np.float32),
    )
    return Scorer(
        model, encoded, open_catalogue(genres), _lists(rng, similar, genres, settings), settings.retrieval, 0.0
    )


def users(scorer: Scorer, count: int, watches: tuple[int, int], seed: int) -> tuple[UserBatch, Filters]:
    """So many users with between watches[0] and watches[1] of them, most by theme, and more than the model reads."""
    rng = np.random.default_rng(seed)
    n = len(scorer.encoded.vectors)
    chance = scorer.model.positives / scorer.model.positives.sum()
    anyone = rng.choice(n, size=(count, watches[1]), p=chance).astype(np.int32)
    place = rng.integers(0, scorer.model.item_item.items.shape[1], (count, watches[1]))
    related = scorer.model.item_item.items[anyone[:, :1], place]
    seen = np.where(rng.random((count, watches[1])) < 0.7, related, anyone)
    lengths = rng.integers(watches[0], watches[1] + 1, count)
    seen[np.arange(watches[1]) < (watches[1] - lengths)[:, None]] = -1
    history = seen[:, -HISTORY:]
    if history.shape[1] < HISTORY:
        history = np.pad(history, ((0, 0), (HISTORY - history.shape[1], 0)), constant_values=-1)
    profile: dict[str, list[str | None]] = {
        name: [f"{name} {number}" for number in rng.integers(0, PROFILE_VALUES, count)] for name in PROFILE_FIELDS
    }
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return UserBatch(history, profile, lengths.astype(np.int32)), Filters(
        (offsets, seen[seen >= 0]),
        np.full(count, 4, np.uint8),
        np.full(count, EVERYWHERE, np.uint64),
        genre_weights(history, scorer.encoded.genres, 0.1),
    )


def _themed(rng: np.random.Generator, theme: Ints, dim: int) -> Floats:
    centres = rng.normal(size=(THEMES, dim))
    vectors = centres[theme] + rng.normal(size=(len(theme), dim))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _similar(rng: np.random.Generator, theme: Ints, width: int) -> tuple[Ints, Floats]:
    """(n, width) items of the same theme or one near to it, popular ones more often, and their falling weights."""
    n = len(theme)
    by_theme = np.argsort(theme, kind="stable").astype(np.int32)
    place = np.empty(n, np.int64)
    place[by_theme] = np.arange(n)
    step = (rng.random((n, width)) ** 2 * n / THEMES * SHIFT).astype(np.int64) + 1
    items = by_theme[(place[:, None] + step) % n]
    weights = np.sort(rng.random((n, width)).astype(np.float32), axis=1)[:, ::-1] - np.float32(0.1)
    return items, np.ascontiguousarray(weights)


def _lists(rng: np.random.Generator, similar: Ints, genres: Floats, settings: Settings) -> CandidateLists:
    retrieval = settings.retrieval
    by_genre = np.stack([np.flatnonzero(genres[:, genre] > 0)[: retrieval.per_genre] for genre in range(GENRES)])
    n = len(genres)
    return CandidateLists(
        np.ascontiguousarray(similar[:, : retrieval.per_watch]),
        by_genre.astype(np.int32),
        rng.permutation(n)[: retrieval.trending].astype(np.int32),
        np.arange(n - retrieval.new, n, dtype=np.int32),
        np.arange(retrieval.fallback_list, dtype=np.int32),
    )
