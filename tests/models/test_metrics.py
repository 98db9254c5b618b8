import numpy as np
import pytest

from models.metrics import hits_at, mrr_at_k, ndcg_at_k, recall_at_k, summary


def relevant(*rows):
    offsets = np.cumsum([0, *map(len, rows)])
    return offsets, np.array([item for row in rows for item in row], np.int32)


def test_measures_of_lists_whose_answer_is_plain():
    ranked = np.array([[1, 2, 3, 4], [5, 6, 7, -1], [9, 8, 7, 6]], np.int32)
    wanted = relevant([2, 4], [5], [1, 2, 3])
    hits = hits_at(ranked, wanted)
    counts = np.diff(wanted[0])
    assert hits.tolist() == [[False, True, False, True], [True, False, False, False], [False] * 4]
    assert recall_at_k(hits, counts, 2).tolist() == [0.5, 1, 0]
    assert recall_at_k(hits, counts, 4).tolist() == [1, 1, 0]
    assert mrr_at_k(hits, 4).tolist() == [0.5, 1, 0]
    best = 1 + 1 / np.log2(3)
    assert ndcg_at_k(hits, counts, 4) == pytest.approx([(1 / np.log2(3) + 1 / np.log2(5)) / best, 1, 0])


def test_the_ideal_of_ndcg_is_no_longer_than_k():
    hits = hits_at(np.array([[1, 2]], np.int32), relevant([1, 2, 3, 4]))
    assert ndcg_at_k(hits, np.array([4]), 2).tolist() == [1]


def test_users_without_held_out_items_do_not_count():
    ranked = np.array([[1, 2], [3, 4]], np.int32)
    assert summary(ranked, relevant([1], []), "x")["x.recall@10"] == 1


def test_an_item_of_another_user_is_no_hit():
    assert not hits_at(np.array([[1], [2]], np.int32), relevant([2], [1])).any()
