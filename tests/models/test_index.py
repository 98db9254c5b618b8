import faiss
import numpy as np

from models.index import ItemIndex, write_index
from models.similar import similar_items

VECTORS = np.array([[1, 0], [0, 1], [1, 0], [2, 0], [-1, 0]], np.float32)
ALL = np.ones(5, bool)


def test_the_largest_inner_product_comes_first_and_ties_go_by_item_no():
    index = ItemIndex(VECTORS, ALL, batch=4)
    assert index.search(np.array([[1, 0]], np.float32), 4).tolist() == [[3, 0, 2, 1]]


def test_inactive_items_are_not_found_and_missing_ones_are_minus_one():
    index = ItemIndex(VECTORS, np.array([True, False, False, True, False]), batch=4)
    assert index.search(np.array([[1, 0]] * 5, np.float32), 3).tolist() == [[3, 0, -1]] * 5
    assert ItemIndex(VECTORS, np.zeros(5, bool), batch=4).search(VECTORS[:1], 2).tolist() == [[-1, -1]]


def test_similar_items_are_the_nearest_by_angle_never_the_item_itself():
    items, cosine = similar_items(VECTORS, ALL, k=2)
    assert items[:4].tolist() == [[2, 3], [0, 2], [0, 3], [0, 2]]
    assert items[4, 0] == 1
    assert cosine[0].tolist() == [1, 1]


def test_similar_items_are_eligible_and_short_rows_are_padded():
    items, cosine = similar_items(VECTORS, np.array([True, True, False, False, False]), k=3)
    assert items.tolist() == [[1, -1, -1], [0, -1, -1], [0, 1, -1], [0, 1, -1], [1, 0, -1]]
    assert (cosine[items < 0] == 0).all()


def test_the_index_file_holds_every_item(tmp_path):
    write_index(tmp_path / "index.faiss", VECTORS)
    index = faiss.read_index(str(tmp_path / "index.faiss"))
    assert index.ntotal == 5
    assert index.metric_type == faiss.METRIC_INNER_PRODUCT
