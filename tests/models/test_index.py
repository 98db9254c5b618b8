import faiss
import numpy as np
import pytest
import torch

from models.cowatch import CoWatched
from models.index import ItemIndex, write_index
from models.similar import similar_items

VECTORS = np.array([[1, 0], [0, 1], [1, 0], [2, 0], [-1, 0]], np.float32)
ALL = np.ones(5, bool)
UNWATCHED = CoWatched(np.zeros(0, np.float32), np.zeros((0, 2), np.int32), np.zeros((0, 2), np.float32))


def test_products_are_with_the_active_items_and_of_any_other_when_asked():
    index = ItemIndex(VECTORS, np.array([True, False, False, True, False]), batch=2)
    users = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    found = index.products(users)
    assert found.columns.tolist() == [0, 3]
    assert found.values.tolist() == [[1, 2], [0, 0]]
    assert index.at(found, users, np.array([[3, 4, -1], [1, 0, 2]], np.int32)).tolist() == [[2, -1, 0], [3, 0, 0]]


def test_without_an_active_item_there_are_no_products():
    index = ItemIndex(VECTORS, np.zeros(5, bool), batch=1)
    users = torch.tensor([[2.0, 0.0]])
    found = index.products(users)
    assert found.values.shape == (1, 0)
    assert index.at(found, users, np.array([[0, -1]], np.int32)).tolist() == [[2, 0]]


def test_items_without_watches_are_similar_by_angle_never_to_themselves():
    items, cosine = similar_items(VECTORS, ALL, UNWATCHED, k=2)
    assert items[:4].tolist() == [[2, 3], [0, 2], [0, 3], [0, 2]]
    assert items[4, 0] == 1
    assert cosine[0].tolist() == [1, 1]


def test_similar_items_are_eligible_and_short_rows_are_padded():
    items, cosine = similar_items(VECTORS, np.array([True, True, False, False, False]), UNWATCHED, k=3)
    assert items.tolist() == [[1, -1, -1], [0, -1, -1], [0, 1, -1], [0, 1, -1], [1, 0, -1]]
    assert (cosine[items < 0] == 0).all()


def test_the_index_file_holds_every_item(tmp_path):
    write_index(tmp_path / "index.faiss", VECTORS)
    index = faiss.read_index(str(tmp_path / "index.faiss"))
    assert index.ntotal == 5
    assert index.metric_type == faiss.METRIC_INNER_PRODUCT


def test_watched_items_are_similar_by_who_watched_them_and_the_more_surely_the_more_did():
    # 0 and 1 share 90 of 90 watchers though their vectors do not agree, 0 and 2 share one of one.
    near = CoWatched(
        np.array([90, 90, 1], np.float32),
        np.array([[1, 2], [0, -1], [0, -1]], np.int32),
        np.array([[90, 1], [90, 0], [1, 0]], np.float32),
    )
    items, similarity = similar_items(np.array([[1, 0], [0, 1], [0, 1]], np.float32), np.ones(3, bool), near, k=2)
    assert items[0].tolist() == [1, 2]
    assert similarity[0].tolist() == pytest.approx([90 / 100, 1 / (np.sqrt(90) + 10)])


def test_an_item_newer_than_the_watches_is_similar_by_its_vector():
    near = CoWatched(np.ones(1, np.float32), np.full((1, 2), -1, np.int32), np.zeros((1, 2), np.float32))
    items, similarity = similar_items(np.array([[1, 0], [1, 0]], np.float32), np.ones(2, bool), near, k=1)
    assert items.tolist() == [[1], [0]]
    assert similarity.tolist() == [[1], [1]]
