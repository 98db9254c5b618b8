"""New items: which ones they are, and what those who know nothing of their watches rank them by."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from bench.peers import popularity, rank
from bench.peers_content import content_knn, genre_popularity
from bench.relevance.interactions import UNKNOWN, releases
from bench.relevance.splits import by_release, validation
from tests.bench.relevance_data import interactions, learnt, rows


def test_the_newest_tenth_of_the_items_with_positives_is_held_out_whole():
    release = [*range(19), 100, 101]
    liked = {item: 100 - item for item in range(20)}
    found = by_release(interactions(liked, {18: 1, 3: 5}, {19: 1}, {4: 2}, items=21, release=release))
    assert np.flatnonzero(found.among).tolist() == [18, 19], "the newest that anybody has"
    assert found.measured.tolist() == [0, 1], "those with positives on both sides"
    assert rows(found.relevant) == [[19, 18], [18]]
    assert not found.among[found.training.items].any()
    assert rows((found.training.offsets, found.training.items))[1:] == [[3], [], [4]]


def test_items_of_one_release_go_by_their_first_positive_and_unknown_ones_are_the_oldest():
    release = [UNKNOWN, *[7] * 9]
    liked = {item: 90 - item for item in range(10)}
    assert np.flatnonzero(by_release(interactions(liked, items=10, release=release)).among).tolist() == [1]
    assert np.flatnonzero(by_release(interactions(liked, items=10)).among).tolist() == [0]


def test_the_validation_slice_is_of_the_newest_items_that_are_learnt_from():
    past = by_release(interactions({item: item for item in range(20)}, items=20, release=list(range(20)))).training
    assert np.flatnonzero(validation(past, "release").among).tolist() == [17]


def test_an_item_comes_out_when_it_is_there_to_be_watched_else_on_its_day_of_release():
    items = pa.table(
        {
            "available_from": pa.array([datetime(1970, 1, 2, tzinfo=UTC), None, None], pa.timestamp("us", "UTC")),
            "release_date": pa.array([date(1950, 1, 1), date(1970, 1, 3), None]),
        }
    )
    day = 86_400_000_000
    assert releases(items).tolist() == [day, 2 * day, UNKNOWN]


def test_only_new_items_are_ranked():
    split = by_release(interactions({item: item for item in range(20)}, items=20, release=list(range(20))))
    assert rank(split, popularity(split.training, {}, 0), 3).tolist() == [[18, 19, -1]]


def test_genre_popularity_is_that_of_the_items_anybody_has():
    past = learnt([0, 1], [0, 1], [0, 2], [4, 1], items=8)
    assert genre_popularity(past, {}, 0)(np.array([0, 1]))[:, :2] == pytest.approx(np.array([[5 / 3, 3]] * 2))


# Items 3 and 4 are new; token 0 is in all, 1 in three, 2 and 3 in two each.
TOKENS = [[0, 1, 2], [0, 1], [0, 3], [0, 1, 2], [0, 3]]


def test_content_knn_adds_up_the_cosines_of_the_nearest_watched_items():
    past = learnt([0, 1], [2], items=5, tokens=TOKENS)
    common, rare = np.log(5 / 3), np.log(5 / 2)
    half = common / np.hypot(common, rare)
    assert content_knn(past, {"neighbours": np.inf}, 0)(np.array([0, 1])) == pytest.approx(
        np.array([[0, 0, 0, 1 + half, 0], [0, 0, 0, 0, 1]]), abs=1e-6
    )
    assert content_knn(past, {"neighbours": 1}, 0)(np.array([0]))[0, 3:] == pytest.approx([1, 0], abs=1e-6)
