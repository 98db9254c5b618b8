from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rerank import UNGROUPED, Bar, Diversifier, allowed, bars_of, catalogue_bars, diversify, fit_line

US, EVERYWHERE = np.uint64(1), np.uint64(1 << 63)
NOW = 1_000.0


def mask(item_no, maturity_limit=4, region_bit=US | EVERYWHERE, exclude=None, **changes):
    catalogue = {
        "active": np.array([True] * 4),
        "maturity": np.array([0, 1, 2, 4], dtype=np.uint8),
        "licensed": np.array([EVERYWHERE, US, EVERYWHERE, US], dtype=np.uint64),
        "available_from": np.full(4, -np.inf),
        "available_until": np.full(4, np.inf),
        **changes,
    }
    found = allowed(
        np.array(item_no), now=NOW, maturity_limit=maturity_limit, region_bit=region_bit, exclude=exclude, **catalogue
    )
    return found.tolist()


def test_everything_is_allowed_to_an_adult_in_the_us():
    assert mask([3, 2, 1, 0]) == [True] * 4


def test_each_rule_removes_what_it_names():
    assert mask([0, 1, 2, 3], maturity_limit=1) == [True, True, False, False]
    assert mask([0, 1, 2, 3], region_bit=EVERYWHERE) == [True, False, True, False]
    assert mask([0, 1, 2, 3], active=np.array([True, True, True, False])) == [True, True, True, False]
    assert mask([0, 1, 2, 3], exclude=np.array([2, 0])) == [False, True, False, True]


def test_a_licence_begins_at_its_start_and_is_over_at_its_end():
    start, end = np.array([NOW, NOW + 1, -np.inf, -np.inf]), np.array([np.inf, np.inf, NOW, NOW + 1])
    assert mask([0, 1, 2, 3], available_from=start, available_until=end) == [True, False, False, True]


def test_items_the_catalogue_does_not_have_are_never_allowed():
    assert mask([-1, 0, 4]) == [False, True, False]
    assert mask([-1, 9]) == [False, False]
    assert mask([]) == []


profiles = st.tuples(st.integers(0, 4), st.sampled_from([EVERYWHERE, US | EVERYWHERE]))
catalogues = st.lists(
    st.tuples(st.booleans(), st.integers(0, 4), st.sampled_from([0, 1, 1 << 63]), st.integers(0, 2), st.integers(0, 2)),
    max_size=8,
)


@given(catalogues, profiles)
def test_the_catalogues_bars_are_the_rules_of_allowed(rows, profile):
    active, maturity, licensed, start, end = map(list, zip(*rows, strict=True)) if rows else ([],) * 5
    catalogue = {
        "active": np.array(active, bool),
        "maturity": np.array(maturity, np.uint8),
        "licensed": np.array(licensed, np.uint64),
        "available_from": NOW - 1 + np.array(start, float),
        "available_until": NOW + np.array(end, float),
    }
    limit, bit = profile
    bars = catalogue_bars(
        **catalogue, now=NOW, maturity_limit=limit, region_bits=[int(bit)], withheld=np.zeros(len(rows), bool)
    )
    numbers = np.arange(-1, len(rows) + 2, dtype=np.int32)
    mask = allowed(numbers, now=NOW, maturity_limit=limit, region_bit=bit, **catalogue)
    assert (bars_of(bars, numbers) == Bar.NONE).tolist() == mask.tolist()


def test_a_bar_names_the_first_rule_that_holds():
    bars = catalogue_bars(
        active=np.array([True, False, True, True, True, True]),
        maturity=np.array([0, 4, 4, 0, 0, 0], np.uint8),
        licensed=np.array([EVERYWHERE, US, US, US, EVERYWHERE, EVERYWHERE], np.uint64),
        available_from=np.full(6, -np.inf),
        available_until=np.array([np.inf, 0, 0, 0, 0, np.inf]),
        now=NOW,
        maturity_limit=0,
        region_bits=[int(EVERYWHERE)],
        withheld=np.array([False, True, True, True, True, True]),
    )
    assert bars.tolist() == [Bar.NONE, Bar.INACTIVE, Bar.MATURITY, Bar.REGION, Bar.WINDOW, Bar.TIER, Bar.UNKNOWN]


def page(genres, limit, max_per_genre=3, window=20):
    return diversify(np.array(genres, dtype=np.int32).reshape(-1, 1), (max_per_genre,), window, limit)


def test_the_fourth_of_a_genre_waits_until_nothing_else_is_left():
    assert page([7, 7, 7, 7, 1, 2], limit=5) == [0, 1, 2, 4, 5]
    assert page([7, 7, 7, 7, 1, 2], limit=6) == [0, 1, 2, 4, 5, 3]
    assert page([7, 7, 7, 7, 7], limit=4) == [0, 1, 2, 3]


def test_the_limit_counts_over_the_window_only():
    assert page([7, 7, 1, 2, 3], limit=5, max_per_genre=1, window=2) == [0, 2, 1, 3, 4]


def test_items_without_a_genre_are_not_alike():
    assert page([UNGROUPED] * 5, limit=5) == [0, 1, 2, 3, 4]


genre_lists = st.lists(st.integers(0, 4) | st.just(UNGROUPED), max_size=60)


@given(genre_lists, st.integers(1, 50), st.integers(1, 5), st.integers(1, 25))
def test_a_page_is_as_long_as_it_can_be_and_holds_nothing_twice(genres, limit, most, window):
    chosen = page(genres, limit, most, window)
    assert len(chosen) == len(set(chosen)) == min(limit, len(genres))


@given(genre_lists, st.integers(1, 20), st.integers(1, 5))
def test_within_one_window_the_rule_gives_way_only_for_what_cannot_be_filled_otherwise(genres, limit, most):
    chosen = [genres[index] for index in page(genres, limit, most, window=20)]
    fitting = sum(count if genre == UNGROUPED else min(count, most) for genre, count in _counts(genres).items())
    broken = sum(max(0, count - most) for genre, count in _counts(chosen).items() if genre != UNGROUPED)
    assert broken == max(0, len(chosen) - fitting)


@given(genre_lists, st.integers(1, 20))
def test_items_of_one_genre_keep_their_order(genres, limit):
    chosen = page(genres, limit)
    for genre in set(genres):
        same = [index for index in chosen if genres[index] == genre]
        assert all(one < other for one, other in pairwise(same))


@given(st.integers(1, 100))
def test_any_window_of_a_long_page_keeps_the_rule_while_there_is_choice(limit):
    chosen = page(list(range(10)) * 20, limit, max_per_genre=2, window=10)
    genres = [index % 10 for index in chosen]
    for start in range(len(genres)):
        assert max(_counts(genres[start : start + 10]).values()) <= 2


def _counts(genres):
    return {genre: genres.count(genre) for genre in genres}


def test_two_rules_hold_together_and_the_last_gives_way_first():
    genres, directors = [1, 1, 1, 2, 3], [7, 8, 8, 7, 7]
    groups = np.array([genres, directors]).T
    # Two of a genre, one of a director: after items 0 and 1 the best left that keeps the genre rule is item 3.
    assert diversify(groups, (2, 1), 20, 5) == [0, 1, 3, 4, 2]
    chosen = Diversifier(20, (2, 1))
    chosen.extend(groups)
    assert chosen.take(5) == [0, 1, 3, 4, 2]
    assert chosen.held == {2: 0, 3: 1, 4: 1}


@given(genre_lists, st.lists(st.integers(1, 9), max_size=8), st.integers(1, 4), st.integers(1, 25))
def test_a_longer_page_continues_a_shorter_one(genres, steps, most, window):
    groups = np.array(genres, np.int32).reshape(-1, 1)
    chosen = Diversifier(window, (most,))
    chosen.extend(groups)
    in_steps = [index for step in steps for index in chosen.take(step)]
    assert in_steps == diversify(groups, (most,), window, sum(steps))


def test_a_line_goes_through_the_many_and_not_to_the_odd_ones():
    x = np.arange(20.0)
    y = 2 * x + 1
    y[3] = 500
    assert fit_line(x, y) == pytest.approx((2, 1))


def test_a_falling_line_is_laid_flat_at_the_mean():
    assert fit_line(np.arange(4.0), np.array([4.0, 3.0, 2.0, 1.0])) == pytest.approx((0, 2.5))
    assert fit_line(np.ones(3), np.array([1.0, 2.0, 3.0])) == pytest.approx((0, 2))
