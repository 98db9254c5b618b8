from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from serving.candidates import estimate, fallbacks
from tests.serving.films import Cinema, edited, films, numbers

LIST = list(range(10))


def vectors(count, new):
    """Products with the vector (1, 1) that fall by one from 9 over the list, and those of new items."""
    made = np.zeros((count, 2), np.float32)
    made[:10, 0] = 9 - np.arange(10)
    for item, product in new.items():
        made[item, 0] = product
    return made


@pytest.fixture
def cinema(world, rules, make_body):
    def make(new, rules=rules, items=LIST, **changes):
        fields = films(30, vectors=vectors(30, new), **changes)
        fields["popular"] = {**fields["popular"], "new": numbers(*new)}
        world.publish({"ann": make_body(items, anchors=())}, position=1, knew=20, **fields)
        return Cinema(world, rules)

    return make


def test_a_new_item_stands_where_its_product_says(cinema, rules):
    stale = edited(rules, new_items={"freshness": 0})
    page = cinema({20: 4.6}, stale).home(12)
    assert page.item_no[:11] == [0, 1, 2, 3, 4, 20, 5, 6, 7, 8, 9]
    assert (page.reason[5], page.tier[5]) == ("New release", "personalized")
    assert page.score == sorted(page.score, reverse=True)


def test_being_new_lifts_an_item_inside_and_outside_the_list(cinema, rules):
    fresh = edited(rules, new_items={"freshness": 1.2})  # more than two ranks of the list, which are 0.5 apart
    assert cinema({20: 4.6, 7: 2}, fresh).home(11).item_no == [0, 1, 2, 20, 3, 4, 7, 5, 6, 8, 9]


def test_only_the_best_new_items_enter_and_none_that_is_barred(cinema, rules):
    few = edited(rules, new_items={"entrants": 2})
    page = cinema({20: 3.6, 21: 4.6, 22: 2.6, 23: 9}, few, active=np.arange(30) != 23).home(12)
    assert [number for number in page.item_no if number in (20, 21, 22, 23)] == [21, 20]


def test_what_the_list_could_have_had_does_not_enter(cinema):
    page = cinema({15: 9, 20: 4.6}).home(11)
    assert 20 in page.item_no
    assert 15 not in page.item_no, "ann may have watched it years ago"


def test_a_product_beyond_the_list_counts_as_its_edge():
    own, base = np.arange(10, dtype=np.float32), np.arange(10, dtype=np.float32) / 2
    assert estimate(own, base, np.array([4.5, 1000, -1000], np.float32)).tolist() == pytest.approx([2.25, 4.5, 0])


def test_a_product_that_says_nothing_gives_the_middle_and_a_short_list_its_end():
    base = np.arange(10, dtype=np.float32)
    assert estimate(-base, base, np.array([3], np.float32)).tolist() == pytest.approx([4.5])
    assert estimate(base[:7], base[:7], np.array([3], np.float32)).tolist() == [0]


def test_a_list_newer_than_the_catalogue_is_served_as_far_as_it_is_known(cinema):
    assert cinema({20: 4.6}, items=[*LIST, 31, 500]).home(12).item_no[:10] == [0, 1, 2, 3, 20, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(("items", "parts"), [(1000, 1), (2500, 3), (1_000_001, 100)])
def test_the_whole_catalogue_comes_in_parts_that_are_few_and_small(items, parts):
    class Catalogue(SimpleNamespace):
        def __len__(self):
            return items

    found = [tier.item_no for tier in fallbacks(Catalogue(popular={}), None)]
    assert len(found) == parts
    assert np.array_equal(np.concatenate(found), np.arange(items))
