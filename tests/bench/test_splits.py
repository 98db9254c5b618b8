"""What is held out, and that none of it is learnt from."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.relevance.splits import buckets, by_time, by_user, only, rows_of, split, validation
from tests.bench.relevance_data import interactions, rows


def test_the_last_fifth_of_each_user_rounded_down_is_held_out():
    ten = {item: 100 - item for item in range(10)}
    found = by_user(interactions(ten, {item: item for item in range(9)}, {3: 1}, items=10))
    assert found.measured.tolist() == [0, 1]
    assert rows(found.relevant) == [[1, 0], [8]]
    assert rows((found.training.offsets, found.training.items)) == [[9, 8, 7, 6, 5, 4, 3, 2], list(range(8)), [3]]
    assert found.until.tolist() == [98, 7, 1]


def test_equal_times_go_by_item_number():
    assert rows(by_user(interactions(dict.fromkeys([4, 2, 0, 3, 1], 7), items=5)).relevant) == [[4]]


def test_by_time_one_moment_parts_all_users_and_new_ones_are_measured():
    early = {item: item for item in range(8)}
    found = by_time(interactions({**early, 8: 20}, {9: 30}, items=10))
    assert found.measured.tolist() == [0, 1]
    assert rows(found.relevant) == [[8], [9]]
    assert rows((found.training.offsets, found.training.items)) == [list(range(8)), []]
    assert found.until.tolist() == [7, 7]


def test_all_that_happens_at_the_parting_moment_is_held_out():
    found = by_time(interactions({0: 1, 1: 2, 2: 5, 3: 5, 4: 5}, items=5))
    assert rows(found.relevant) == [[2, 3, 4]]


def test_validation_is_cut_from_the_training_part():
    past = by_user(interactions({item: item for item in range(10)}, items=10)).training
    inner = validation(past, "user")
    assert rows(inner.relevant) == [[7]]
    assert inner.training.items.tolist() == list(range(7))


histories = st.lists(st.dictionaries(st.integers(0, 9), st.integers(0, 20), max_size=10), min_size=1, max_size=6)


@given(histories, st.sampled_from(["user", "time"]))
def test_every_positive_is_on_one_side_and_the_held_out_side_is_later(users, kind):
    found = split(interactions(*users, items=10), kind)
    past = rows((found.training.offsets, found.training.items))
    later = dict(zip(found.measured.tolist(), rows(found.relevant), strict=True))
    for user, liked in enumerate(users):
        held = later.get(user, [])
        assert sorted(past[user] + held) == sorted(liked)
        assert all(liked[item] >= liked[before] for item in held for before in past[user])


def test_only_keeps_the_rows_of_a_ragged_array():
    flat = (np.array([0, 2, 2, 5]), np.array([0, 1, 1, 2, 0], np.int32))
    assert rows(only(flat, np.array([False, True, True]))) == [[1], [], [1, 2]]
    assert rows(rows_of(flat, np.array([2, 0, 1]))) == [[1, 2, 0], [0, 1], []]


def test_buckets_name_their_ranges_and_leave_out_those_without_anybody():
    found = buckets(np.array([0, 5, 40, 7]), ((0, 0), (1, 9), (10, 29), (30, None)))
    assert {name: inside.tolist() for name, inside in found.items()} == {
        "0": [True, False, False, False],
        "1-9": [False, True, False, True],
        "30+": [False, False, True, False],
    }
