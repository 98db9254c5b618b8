import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models import softmax
from models.factors import item_factors
from models.softmax import softmax_loss
from tests.models.test_sequences import made

USERS, ITEMS, DIM = 5, 7, 3


@pytest.fixture(params=[4 << 20, 1], ids=["one slice", "a slice a user"])
def vectors(request, monkeypatch):
    monkeypatch.setattr(softmax, "SLICE_BYTES", request.param)
    torch.manual_seed(1)
    return [torch.randn(count, DIM, dtype=torch.float64, requires_grad=True) for count in (USERS, ITEMS)]


def same(loss, expected, vectors):
    assert loss.item() == pytest.approx(expected.item())
    for got, wanted in zip(torch.autograd.grad(loss, vectors), torch.autograd.grad(expected, vectors), strict=True):
        assert torch.allclose(got, wanted)


def test_one_target_a_user_is_cross_entropy(vectors):
    target = torch.tensor([0, 6, 3, 3, 1])
    users, items = vectors
    loss = softmax_loss(users, items, torch.arange(USERS), target, torch.zeros(ITEMS))
    same(loss, F.cross_entropy(users @ items.T, target), vectors)


def test_many_targets_are_averaged_and_users_without_one_left_out(vectors):
    users, items = vectors
    rows, cols = torch.tensor([0, 0, 2]), torch.tensor([1, 4, 5])
    logs = F.log_softmax(users @ items.T, 1)
    expected = -((logs[0, 1] + logs[0, 4]) / 2 + logs[2, 5]) / 2
    same(softmax_loss(users, items, rows, cols, torch.zeros(ITEMS)), expected, vectors)


def test_a_sample_corrected_for_its_chances_stands_for_the_catalogue(vectors):
    users, items = vectors
    twice = torch.cat([items, items[1:]])
    target = torch.zeros(USERS, dtype=torch.long)
    corrected = torch.tensor([0.0] + [np.log(2)] * (2 * ITEMS - 2))
    loss = softmax_loss(users, twice, torch.arange(USERS), target, corrected)
    same(loss, F.cross_entropy(users @ items.T, target), vectors)


def test_factors_are_the_singular_vectors_of_who_watched_what():
    sequences = made(3, 2, 4)
    sequences.items[:] = [0, 1, 2, 1, 2, 2, 3, 4, 3]
    matrix = np.zeros((3, 6))
    for user, start in enumerate(sequences.offsets[:-1]):
        matrix[user, sequences.items[start : sequences.offsets[user + 1]]] = 1
    matrix /= np.sqrt(np.maximum(matrix.sum(1, keepdims=True) * matrix.sum(0), 1))
    found = item_factors(sequences, 6, 2, seed=1).numpy()
    _, values, right = np.linalg.svd(matrix)
    expected = right[:2].T * values[:2]
    np.testing.assert_allclose(found, expected * np.where(expected.sum(0) < 0, -1, 1), atol=1e-5)
