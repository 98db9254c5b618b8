import numpy as np
import pytest

from models import metrics
from models.metrics import (
    bootstrap_means,
    calibration_error,
    coverage,
    gini,
    hits_at,
    interval,
    intra_list_diversity,
    mrr_at_k,
    ndcg_at_k,
    novelty,
    recall_at_k,
    summary,
)


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


GENRES = np.array([[1, 0], [1, 0], [0, 1], [1, 1], [0, 0]], np.float32)


def test_coverage_counts_the_items_that_anybody_is_shown():
    assert coverage(np.array([[0, 1, 4], [1, 0, -1]], np.int32), 2, 4) == 0.5


def test_gini_is_none_for_equal_shares_and_nearly_all_where_one_item_takes_everything():
    assert gini(np.array([[0, 1], [2, 3]], np.int32), 2, 4) == 0
    assert gini(np.zeros((5, 1), np.int32), 1, 4) == 0.75
    assert gini(np.full((2, 3), -1, np.int32), 3, 4) == 0


def test_novelty_is_one_bit_for_what_every_second_user_has_and_more_for_what_nobody_has():
    owners = np.array([1, 7, 0])
    found = novelty(np.array([[0, -1], [1, 0], [2, 1], [-1, -1]], np.int32), 2, owners, 7)
    assert found[:3].tolist() == [2, 1, 1.5]
    assert np.isnan(found[3])


def test_a_list_of_one_genre_has_no_diversity_and_one_of_two_has_all():
    ranked = np.array([[0, 1, 2], [0, 2, -1], [4, 0, -1], [0, -1, -1]], np.int32)
    found = intra_list_diversity(ranked, 2, GENRES)
    assert found[:3] == pytest.approx([0, 1, 1])
    assert np.isnan(found[3])
    assert intra_list_diversity(ranked, 3, GENRES)[0] == pytest.approx(2 / 3)


def test_a_list_like_the_history_is_calibrated_and_one_of_another_genre_is_not():
    history = relevant([0, 2], [3], [0], [0, 1, 2, 2], [4])
    ranked = np.array([[1, 2], [0, 2], [2, -1], [0, 2], [0, 1]], np.int32)
    found = calibration_error(ranked, 2, history, GENRES)
    assert found[:2] == pytest.approx([0, 0])
    assert found[2] == pytest.approx(np.log(100))
    assert found[3] == pytest.approx(0)
    assert np.isnan(found[4])


def test_every_resample_draws_the_same_users_for_all_systems():
    values = np.random.default_rng(1).random((2, 50))
    means = bootstrap_means(np.stack([values[0], values[0] + 0.1, values[1]]), 300, 7)
    assert means.shape == (300, 3)
    assert means[:, 1] - means[:, 0] == pytest.approx(0.1)
    assert len(set(means[:, 0])) > 250
    assert (means[:, 2] - means[:, 0]).std() > 0.01


def test_an_interval_has_the_middle_and_narrows_with_more_users():
    rng = np.random.default_rng(2)
    few, many = (interval(bootstrap_means(rng.random((1, users)), 500, 3)[:, 0]) for users in (25, 2500))
    assert few[0] < 0.5 < few[1]
    assert many[0] < 0.5 < many[1]
    # The standard error of a mean of n uniform numbers is 0.289 / sqrt(n).
    assert many[1] - many[0] == pytest.approx(2 * 1.96 * 0.289 / 50, rel=0.15)


def test_resamples_in_chunks_are_those_in_one(monkeypatch):
    values = np.random.default_rng(3).random((1, 8))
    whole = bootstrap_means(values, 10, 5)
    monkeypatch.setattr(metrics, "_DRAWN_TOGETHER", 24)
    assert bootstrap_means(values, 10, 5) == pytest.approx(whole)
