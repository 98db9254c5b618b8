"""Items that nobody watched stand where their content says; those that somebody watched stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.content import Bags
from models.encoding import Catalogue, tower_items
from models.evaluation import Cases
from models.placement import PENALTIES, RARITIES, Placed, Regression, place_by_content, ridge
from models.sparse import Sparse
from models.tower import POOLED, TowerShape, TwoTower
from models.types import PROFILE_FIELDS, UserBatch

VOCABULARIES = {name: [] for name in PROFILE_FIELDS}
SPACE, LOVE, NOISE = range(3)


def bags_of(rows):
    return Bags(np.cumsum([0, *map(len, rows)]), np.array([token for row in rows for token in row], np.int64))


def sparse(dense):
    rows, columns = np.nonzero(dense)
    return Sparse.of(np.count_nonzero(dense, axis=1), columns, dense[rows, columns].astype(np.float32))


def towers(rows, vectors):
    """A pooled tower whose watched items have these vectors; those with zeros nobody watched. Tokens are at random."""
    vectors = torch.tensor(vectors, dtype=torch.float32)
    tower = TwoTower(TowerShape(len(rows), 3, (0, 0, 0, 0), vectors.shape[1], (), 0.0, POOLED)).requires_grad_(False)
    none, years = np.zeros((len(rows), 0), np.float32), np.zeros((len(rows), 2), np.float32)
    catalogue = Catalogue(bags_of(rows), none, years, none)
    offsets, ids = torch.from_numpy(catalogue.bags.offsets), torch.from_numpy(catalogue.bags.ids)
    watched = vectors.any(1)
    tower.ids.weight.copy_((vectors - tower.tokens(ids, offsets[:-1])) * watched[:, None])
    return tower, catalogue, watched.numpy() * np.int64(9)


def test_conjugate_gradients_find_the_ridge_regression():
    rng = np.random.default_rng(1)
    table = rng.random((30, 8)) * (rng.random((30, 8)) < 0.4)
    targets = rng.standard_normal((30, 3))
    expected = np.linalg.solve(table.T @ table + 0.5 * np.eye(8), table.T @ targets)
    found = ridge(sparse(table), sparse(table.T), 0.5, torch.tensor(targets, dtype=torch.float32))
    assert found.numpy() == pytest.approx(expected, abs=2e-3)


def test_what_nobody_watched_goes_to_items_of_its_content_and_the_rest_stays():
    rows = [[SPACE]] * 40 + [[LOVE]] * 40 + [[SPACE], [LOVE], [SPACE, LOVE], []]
    tower, catalogue, positives = towers(rows, [[1, 0]] * 40 + [[0, 1]] * 40 + [[0, 0]] * 4)
    placed = place_by_content(tower, catalogue, positives, None, VOCABULARIES, 1, Placed(1.0, 0.0, {}))
    inputs, vectors = tower_items(tower, catalogue)
    assert placed.tried == {}
    assert vectors[:80].numpy() == pytest.approx(np.repeat(np.eye(2), 40, axis=0), abs=1e-5)
    assert vectors[80:].numpy() == pytest.approx(np.array([[1, 0], [0, 1], [0.5, 0.5], [0, 0]]), abs=0.05)
    assert torch.equal(inputs, vectors), "histories see them there as well"


def test_an_item_newer_than_the_table_is_placed_likewise():
    tower, catalogue, positives = towers([[SPACE]] * 20 + [[LOVE]] * 20, [[1, 0]] * 20 + [[0, 1]] * 20)
    place_by_content(tower, catalogue, positives, None, VOCABULARIES, 1, None)
    item = tower.item_inputs(torch.tensor([40]), torch.tensor([LOVE]), torch.tensor([0]), torch.ones(1))
    assert item[0].numpy() == pytest.approx([0, 1], abs=0.1)


def test_items_left_out_are_ranked_by_every_choice_and_the_best_is_taken():
    rows = [[SPACE]] * 20 + [[LOVE]] * 20
    tower, catalogue, positives = towers(rows, np.repeat(np.eye(2), 20, axis=0))
    users = UserBatch(np.array([[0], [20]], np.int32), {name: [None] * 2 for name in PROFILE_FIELDS}, np.ones(2, int))
    seen = np.arange(3), np.array([0, 20], np.int32)
    later = np.array([0, 19, 38]), np.delete(np.arange(40, dtype=np.int32), [0, 20])
    good = place_by_content(tower, catalogue, positives, Cases(users, seen, later), VOCABULARIES, 1, None)
    assert len(good.tried) == len(PENALTIES) * len(RARITIES)
    assert good.tried == pytest.approx(dict.fromkeys(good.tried, 1)), "each user's kind stands above the other"

    shuffled = np.random.default_rng(2).permutation(np.repeat(np.eye(2), 20, axis=0))
    tower, catalogue, positives = towers(rows, shuffled)
    bad = place_by_content(tower, catalogue, positives, Cases(users, seen, later), VOCABULARIES, 1, None)
    assert bad.tried[f"penalty {bad.penalty:g} rarity {bad.rarity:g}"] == max(bad.tried.values()) < 1


def test_rare_tokens_count_for_more_by_their_rarity():
    rows = [[SPACE, LOVE], *[[SPACE]] * 9]
    vectors = torch.tensor([[1.0], *[[0.0]] * 9])
    regression = Regression(bags_of(rows), 2, vectors, np.full(10, 100))
    plain, by_rarity = (regression.tokens(1.0, rarity, np.ones(10, bool)) for rarity in RARITIES)
    assert by_rarity[LOVE] > plain[LOVE] > 0
