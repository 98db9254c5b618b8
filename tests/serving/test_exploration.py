from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from serving.exploration import draw, explores, generator, strata
from tests.serving.films import Cinema, edited, films, numbers

COUNT = 40


def test_the_share_of_requests_is_kept_and_a_seed_decides_for_good(rules):
    seeds = [f"req_{number}" for number in range(20_000)]
    chosen = [explores(rules.exploration, seed) for seed in seeds]
    assert sum(chosen) / len(seeds) == pytest.approx(0.05, abs=0.006)
    assert chosen == [explores(rules.exploration, seed) for seed in seeds]


def test_new_items_are_a_stratum_of_their_own_unless_there_are_too_few():
    pool = np.array([True] * 6 + [False])
    new, rest = strata(pool, numbers(1, 4, 6), 0.5, places=2)
    assert (new.item_no.tolist(), rest.item_no.tolist()) == ([1, 4], [0, 2, 3, 5])
    (everything,) = strata(pool, numbers(1, 6), 0.5, places=2)
    assert everything.item_no.tolist() == [0, 1, 2, 3, 4, 5]


def test_each_item_is_drawn_at_each_place_as_often_as_its_propensity_says(rules):
    parts = strata(np.ones(7, bool), numbers(0, 1, 2), 0.7, places=3)
    seen, stated, rounds = Counter(), {}, 6_000
    rng = np.random.default_rng(1)
    for _ in range(rounds):
        found = draw(parts, 3, rng)
        assert len({each.item_no for each in found}) == 3
        for place, each in enumerate(found):
            seen[place, each.item_no] += 1
            stated[each.item_no] = each.propensity
    assert sum(stated.values()) == pytest.approx(1)
    for place in range(3):
        for item_no, propensity in stated.items():
            assert seen[place, item_no] / rounds == pytest.approx(propensity, abs=4.5 * (propensity / rounds) ** 0.5)


def test_blocks_and_seeds_draw_apart(rules):
    first = generator(rules.exploration, "a", 0).random()
    assert first == generator(rules.exploration, "a", 0).random()
    assert (
        len({first, generator(rules.exploration, "a", 1).random(), generator(rules.exploration, "b", 0).random()}) == 3
    )


@pytest.fixture
def cinema(world, rules, make_body):
    def make(count=COUNT, listed=None, **changes):
        popular = {"global": np.arange(count, dtype=np.int32), "new": numbers(*range(count - 6, count))}
        body = make_body(range(listed or count), anchors=())
        world.publish({"ann": body}, position=world.generation % 3, **films(count, popular=popular))
        new_items = {"entrants": 0, "freshness": 0}
        exploring = {"share": 0.4, "positions": [2, 4], **changes}
        return Cinema(world, edited(rules, diversity={"window": 5}, new_items=new_items, exploration=exploring))

    return make


def test_what_is_shown_at_each_place_is_what_the_propensities_say(cinema):
    """Over seeds: the share of pages with an item at a place is the propensity that those pages state for it there."""
    cinema = cinema()
    cinema.did("watch", 39)
    rounds = 1_500
    seen, stated = Counter(), {}
    for seed in range(rounds):
        page = cinema.home(5, seed=str(seed))
        for place, (item_no, propensity) in enumerate(zip(page.item_no, page.propensity, strict=True)):
            seen[place, item_no] += 1
            assert stated.setdefault((place, item_no), propensity) == pytest.approx(propensity)
    for place in range(5):
        here = {item_no: propensity for (at, item_no), propensity in stated.items() if at == place}
        assert sum(here.values()) == pytest.approx(1)
        assert here[place] == pytest.approx(0.6 if place in (1, 3) else 1)
        assert set(here) == ({place, *range(5, 39)} if place in (1, 3) else {place})
        for item_no, propensity in here.items():
            assert seen[place, item_no] / rounds == pytest.approx(propensity, abs=4.5 * (propensity / rounds) ** 0.5)
    # 5 new ones, which share half of the draws; 29 others.
    assert stated[1, 38] == pytest.approx(0.4 * 0.5 / 5)
    assert stated[1, 7] == pytest.approx(0.4 * 0.5 / 29)


def test_what_a_draw_displaced_leads_the_next_block(cinema):
    page = cinema(share=1.0).home(10)
    assert [place for place, tier in enumerate(page.tier) if tier == "explored"] == [1, 3, 6, 8]
    assert page.item_no[0] == 0
    assert page.item_no[2:5:2] == [2, 4]
    assert page.item_no[5] == 1
    assert page.reason[1] == "Something different"
    assert page.score[1] == pytest.approx(page.score[5])


def test_draws_for_users_with_a_list_are_from_the_list(cinema):
    cinema = cinema(listed=9, share=1.0)
    drawn = {number for seed in range(30) for number in cinema.home(5, seed=str(seed)).item_no} - set(range(5))
    assert drawn == {5, 6, 7, 8}, "of the others nobody here knows whether they were watched"


def test_where_nothing_is_left_to_draw_nothing_is_explored(cinema):
    page = cinema(count=6, share=1.0).home(6)
    assert page.propensity == [1.0] * 6
    assert "explored" not in page.tier
    # Five on the page leave two to draw from.
    page = cinema(count=7, share=1.0).home(7)
    assert {page.item_no[1], page.item_no[3]} == {5, 6}
    assert page.propensity == [1, 0.5, 1, 0.5, 1, 1, 1]
