import numpy as np
import pyarrow as pa
import pytest

from models.cowatch import Baskets, CoCounts, co_watched, read_baskets
from models.item_item import WATCHES, ItemItem, ItemScores, by_neighbours, closed_form
from tests.models.blocks import TableSource

#              item 0  1  2  3
WATCHED = np.array([
    [1, 1, 0, 0],
    [1, 1, 0, 0],
    [1, 1, 1, 0],
    [0, 0, 1, 1],
], np.float32)  # fmt: skip
GRAM = WATCHED.T @ WATCHED


def baskets():
    users, items = np.nonzero(WATCHED)
    return Baskets.of(users, items.astype(np.int32))


def counts():
    return CoCounts(baskets(), np.arange(4, dtype=np.int32), 4)


def test_the_closed_form_is_the_inverse_with_nothing_for_an_item_itself():
    inverse = np.linalg.inv(GRAM.astype(np.float64) + 2 * np.eye(4))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(closed_form(GRAM, 2.0), weights, atol=1e-6)


def test_common_watchers_are_counted():
    assert counts().dense().tolist() == GRAM.tolist()
    assert counts().watchers.tolist() == [3, 3, 2, 1]


def test_the_most_co_watched_come_first_by_cosine():
    near = co_watched(counts(), 5, 2)
    assert near.items.tolist() == [[1, 2], [0, 2], [3, 0], [2, -1], [-1, -1]]
    assert near.together.tolist() == [[3, 1], [3, 1], [1, 1], [1, 0], [0, 0]]


def test_regressed_on_all_its_neighbours_an_item_gets_the_closed_form():
    watched = np.ones((3, 3), np.float32) - np.eye(3, dtype=np.float32)
    users, items = np.nonzero(np.concatenate([watched, np.ones((2, 3), np.float32)]))
    near = co_watched(CoCounts(Baskets.of(users, items.astype(np.int32)), np.arange(3, dtype=np.int32), 3), 3, 2)
    model = by_neighbours(near, 3, 2, 5.0)
    gram = 3 * np.ones((3, 3), np.float32) + np.eye(3, dtype=np.float32)
    weights = closed_form(gram, 5.0)
    for item in range(3):
        np.testing.assert_allclose(model.weights[item], weights[item, model.items[item]], atol=1e-6)


def test_a_user_and_item_count_once_and_sampled_items_not_at_all():
    rows = {"user_id": ["a", "a", "b", "b"], "item_no": [1, 1, 0, 2], "label": [1.0, 1.0, 1.0, 0.0],
            "origin": ["watch", "watch", "watch", "sampled"], "split": ["train"] * 4}  # fmt: skip
    found = read_baskets(TableSource(pa.table(rows)), ["train"], 3, limit=10)
    assert found.offsets.tolist() == [0, 1, 2]
    assert found.items.tolist() == [1, 0]


def test_of_too_many_watches_whole_users_are_left_out():
    users = [f"user-{number}" for number in range(400) for _ in range(3)]
    rows = {"user_id": users, "item_no": [0, 1, 2] * 400, "label": [1.0] * 1200, "origin": ["watch"] * 1200,
            "split": ["train"] * 1200}  # fmt: skip
    found = read_baskets(TableSource(pa.table(rows)), ["train"], 1200, limit=300)
    assert 70 < len(found) < 130
    assert set(np.diff(found.offsets)) == {3}


def scores_of(decay):
    # Watching 0 speaks for 2 and a little for 3; watching 1 for 3 alone.
    items, weights = np.array([[2, 3], [3, -1], [-1, -1], [-1, -1]], np.int32), np.zeros((4, 2), np.float32)
    weights[0], weights[1, 0] = [0.5, 0.1], 0.4
    return ItemScores(ItemItem(items, weights, decay, co_watched(counts(), 4, 2)), 5)


def test_a_score_is_the_mean_of_what_the_watches_say_the_newest_most():
    history = np.array([[-1, 0, 1], [-1, -1, 0], [-1, -1, -1], [-1, -1, 4]], np.int32)
    assert scores_of(1.0).scores(history)[0].tolist() == pytest.approx([0, 0, 0.25, 0.25, 0])
    found = scores_of(0.5).scores(history).numpy()
    np.testing.assert_allclose(found[0], [0, 0, 0.5 / 3, (2 * 0.4 + 0.1) / 3, 0], atol=1e-6)
    np.testing.assert_allclose(found[1], [0, 0, 0.5, 0.1, 0], atol=1e-6)
    assert not found[2:].any()  # nothing watched; watched what is newer than the model


def test_older_watches_than_are_read_say_nothing():
    history = np.full((1, WATCHES + 1), 1, np.int32)
    history[0, 0] = 0
    assert scores_of(1.0).scores(history)[0, 2] == 0
