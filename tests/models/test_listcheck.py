"""Four items; item 2 is for adults and item 3 is taken out."""

from __future__ import annotations

import numpy as np
import pytest

from conf.vocabulary import EVERYWHERE
from models.listcheck import Lists, ListStats, measure
from models.types import CatalogueArrays

CATALOGUE = CatalogueArrays(
    active=np.array([True, True, True, False]),
    maturity=np.array([0, 0, 4, 0], np.uint8),
    licensed=np.full(4, EVERYWHERE),
    available_from=np.full(4, -np.inf),
    available_until=np.full(4, np.inf),
    genres=np.zeros(4, np.uint64),
    primary_genre=np.zeros(4, np.uint8),
)


def lists(*of_users: list[int], score: float = 0.5) -> Lists:
    flat = [item for items in of_users for item in items]
    offsets = np.cumsum([0, *map(len, of_users)]).astype(np.int64)
    return Lists(offsets, np.array(flat, np.int32), np.full(len(flat), score, np.float32))


def stats(new: Lists, old: Lists, limit: int = 0) -> tuple[ListStats, list[int]]:
    users = len(new)
    found, wrong = measure(
        new, old, np.full(users, limit, np.uint8), np.full(users, EVERYWHERE), CATALOGUE, now=0, short=2
    )
    return found, wrong.tolist()


def test_items_that_a_user_may_not_see_are_found_where_they_stand():
    found, wrong = stats(lists([0, 1], [1, 2, 3], [0, 9]), lists([], [], []))
    assert (found.lists, found.forbidden, wrong) == (3, 2, [3, 4, 6])
    assert stats(lists([2, 0]), lists([]), limit=4)[0].forbidden == 0


def test_short_and_empty_lists_are_counted():
    assert stats(lists([0, 1], [0], []), lists([], [], []))[0].short == 2


def test_overlap_is_the_mean_share_of_the_old_first_items_that_stayed():
    found, _ = stats(lists([0, 1], [0], [1]), lists([1, 0], [0, 1], []))
    assert (found.compared, found.mean_overlap()) == (2, 0.75)
    assert found.mean_overlap(least=10) == 0.95  # eight more as they were
    assert stats(lists([0]), lists([]))[0].mean_overlap() == 1


def test_drift_is_in_standard_deviations_of_the_scores_before():
    old = Lists(np.array([0, 2]), np.array([0, 1], np.int32), np.array([0.2, 0.4], np.float32))
    moved, _ = stats(lists([0, 1], score=0.6), old)
    assert (moved.drift(), moved.drift(least=3)) == (pytest.approx(3, abs=1e-5), pytest.approx(1, abs=1e-5))
    assert stats(lists([0, 1], score=0.6), lists([]))[0].drift() == 0


def test_coverage_and_concentration_count_first_places():
    found, _ = stats(lists([0, 1], [0], [0]), lists([], [], []))
    assert found.places.tolist() == [3, 1, 0, 0]
    assert found.coverage(active=3) == pytest.approx(2 / 3)
    assert found.concentration(active=3) == 0.75
    assert (ListStats.none(4).coverage(3), ListStats.none(4).concentration(3)) == (1, 0)


def test_only_the_first_twenty_count():
    found, _ = stats(lists([1] * 20 + [0]), lists([]))
    assert found.places.tolist() == [0, 20, 0, 0]


def test_sums_over_parts_are_those_of_the_whole():
    new, old = [[0, 1], [2], [0]], [[1], [2, 0], []]
    whole, _ = stats(lists(*new), lists(*old))
    parts = ListStats.none(4)
    for mine, before in zip(new, old, strict=True):
        parts += stats(lists(mine), lists(before))[0]
    for name in ("lists", "short", "forbidden", "compared"):
        assert getattr(parts, name) == getattr(whole, name), name
    assert (parts.mean_overlap(), parts.drift()) == pytest.approx((whole.mean_overlap(), whole.drift()))
    assert parts.places.tolist() == whole.places.tolist()
