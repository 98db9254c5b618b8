from dataclasses import replace

import numpy as np
import pytest
import torch

from models.content import Bags
from models.tower import POOLED, RATES, SEQUENCE, TowerShape, TwoTower, bags_of

SHAPE = TowerShape(items=4, tokens=3, profile=(2, 0, 0, 0), dim=8, hidden=(16,), dropout=0.1)


def tower(encoder=SEQUENCE):
    torch.manual_seed(1)
    return TwoTower(replace(SHAPE, encoder=encoder)).eval()


def inputs_of(model, item_no, tokens):
    offsets = np.cumsum([0, *map(len, tokens)])[:-1]
    ids = torch.tensor([token for own in tokens for token in own], dtype=torch.long)
    return model.item_inputs(torch.tensor(item_no), ids, torch.from_numpy(offsets), torch.ones(len(item_no)))


def users(model, inputs, *histories, age=0):
    profile = torch.zeros(len(histories), 4, dtype=torch.long)
    profile[:, 0] = age
    return model.users(inputs, torch.tensor(histories), profile, torch.tensor([3] * len(histories)))


def test_items_newer_than_the_table_are_their_content():
    inputs = inputs_of(tower(), [0, 7, 9], [[0, 1], [0, 1], [0, 1]])
    assert torch.equal(inputs[1], inputs[2])
    assert not torch.allclose(inputs[0], inputs[1])


def test_an_item_without_id_or_content_has_a_vector_of_numbers():
    model = tower()
    assert torch.isfinite(model.items(inputs_of(model, [9], [[]]))).all()


def test_padding_on_the_left_changes_nothing_and_the_newest_watch_something():
    model = tower()
    inputs = inputs_of(model, [0, 1, 2], [[0], [1], [2]])
    short, long = users(model, inputs, [0, 1]), users(model, inputs, [-1, -1, 0, 1])
    assert torch.allclose(short, long, atol=1e-5)
    assert not torch.allclose(short, users(model, inputs, [1, 0]), atol=1e-3)


def test_a_user_without_a_history_is_their_profile():
    model = tower()
    torch.nn.init.normal_(model.user_head.mlp[-1].weight)
    inputs = inputs_of(model, [0], [[0]])
    young, old = users(model, inputs, [-1], age=1), users(model, inputs, [-1], age=2)
    assert torch.isfinite(young).all()
    assert not torch.allclose(young, old, atol=1e-3)


def test_pooling_is_a_mean_and_ends_in_the_last_watch():
    model = tower()
    rows = torch.eye(8)[:3]
    pooled = model.pool(rows, torch.tensor([[-1, 0, 1, 2]]))[0].reshape(5, 8)
    assert torch.allclose(pooled[0, :3], torch.full((3,), 1 / 3))
    assert pooled[-1, :3].tolist() == [0, 0, 1]
    assert pooled[3, 2] > pooled[3, 1] > pooled[3, 0] > 0


def test_bags_are_gathered_in_the_order_asked_for():
    bags = Bags(np.array([0, 2, 2, 3]), np.array([5, 6, 7]))
    ids, starts = bags_of(bags, np.array([2, 0, 1, 2]))
    assert ids.tolist() == [7, 5, 6, 7]
    assert starts.tolist() == [0, 1, 3, 3]


def test_the_order_of_watches_is_nothing_to_the_pooled_encoder():
    model = tower(POOLED)
    inputs = inputs_of(model, [0, 1, 2], [[0], [1], [2]])
    assert torch.allclose(users(model, inputs, [-1, 0, 1]), users(model, inputs, [0, -1, 1]), atol=1e-5)
    assert torch.allclose(users(model, inputs, [-1, 0, 1]), users(model, inputs, [-1, 1, 0]), atol=1e-5)


@pytest.mark.parametrize("encoder", RATES)
def test_learning_at_every_place_pools_what_scoring_does(encoder):
    model = tower(encoder)
    rows = torch.randn(4, 8)
    everywhere = model.pool_before(rows, torch.tensor([[2, 0, 3, 1], [1, 3, -1, -1]]))
    assert torch.equal(everywhere[:, 0], torch.zeros_like(everywhere[:, 0]))
    for user, before in [(0, [2]), (0, [2, 0]), (0, [2, 0, 3]), (1, [1])]:
        padded = torch.tensor([[-1] * (4 - len(before)) + before])
        assert torch.allclose(everywhere[user, len(before)], model.pool(rows, padded)[0], atol=1e-6)
