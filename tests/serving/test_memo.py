"""Home pages that are given again: only ever what would have been made anew."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from serving.memo import PageMemo
from serving.recommender import Recommender
from stores.sessions.base import SessionEvent
from tests.serving.films import NOW, Cinema, edited, films

COUNT = 24
HOUR = 3600.0


@pytest.fixture
def calm(rules):
    """Rules under which no request explores, and with a promotion that holds for two hours."""
    promotion = {"item_id": "m20", "slot": 1, "contexts": ["home"], "from": "2026-11-23T14:00:00Z"}
    promotion["until"] = "2026-11-23T16:00:00Z"
    return edited(rules, exploration={"share": 0.0}, promotions={"per_page": 1, "items": [promotion]})


class Twins(Cinema):
    """A cinema with two recommenders, of which one remembers."""

    def __init__(self, world, rules, size=10):
        super().__init__(world, rules)
        self.published = self.snapshot
        self.memo = PageMemo(size)
        lookup = self.recommender._lookup
        self.remembering = Recommender(lookup, rules, lambda: self.now, self.metrics, self.memo)

    def again(self, *asked, **named):
        """The page of the one that remembers, and whether it was remembered."""
        anew, before = self.recommender, self.count()
        self.recommender = self.remembering
        page = self.home(*asked, **named)
        self.recommender = anew
        return page, self.count() > before

    def count(self):
        return self.metrics.remembered_pages._value.get()


@pytest.fixture
def twins(world, calm, make_body):
    # m9 has a licence that ends in an hour, m8 one that begins in three.
    until, since = np.full(COUNT, np.inf), np.full(COUNT, -np.inf)
    until[9], since[8] = NOW + HOUR, NOW + 3 * HOUR
    similar = np.tile(np.array([1, 2, 21], np.int32), (COUNT, 1))
    similar_score = np.tile(np.array([0.9, 0.5, 0.8], np.float32), (COUNT, 1))
    context = np.random.default_rng(3).normal(size=(COUNT + 4, 2)).astype(np.float32)
    lists = {"ann": make_body([9, 8, 7, 6, 5, 4, 3]), "kid": make_body([3, 4], maturity_limit=0, anchors=())}
    more = {
        "similar": similar,
        "similar_score": similar_score,
        "context_items": context[4:],
        "context_daypart": context[None, :4],
    }
    world.publish(lists, **films(COUNT, available_until=until, available_from=since, **more))
    return Twins(world, calm)


def same(one, other):
    return all(getattr(one, field.name) == getattr(other, field.name) for field in fields(one))


def test_who_comes_back_gets_the_same_page_without_its_being_made(twins):
    first, remembered = twins.again()
    assert not remembered
    twins.now += 60
    second, remembered = twins.again()
    assert remembered
    assert same(second, replace(first, as_of=twins.now))
    assert same(second, twins.home())


def test_another_limit_token_or_user_is_another_page(twins):
    twins.again()
    for asked in ({"limit": 3}, {"maturity_limit": 1}, {"region": "DE"}, {"tier": "basic"}, {"user": "kid"}):
        page, remembered = twins.again(**asked)
        assert not remembered
        assert same(page, twins.home(**asked))


def test_a_watched_item_is_gone_at_once(twins):
    top = twins.again()[0].item_no[0]
    twins.did("watch", top)
    page, remembered = twins.again()
    assert not remembered
    assert top not in page.item_no


def test_another_quarter_of_the_day_has_another_order(twins):
    now = twins.again()[0]
    twins.now += 6 * HOUR
    later, remembered = twins.again()
    assert not remembered
    assert later.score != now.score


def test_who_was_erased_is_not_remembered(world, twins):
    assert twins.again()[0].source == "personalized"
    world.store.delete("ann")
    assert twins.again()[0].source == "popular"


def test_a_licence_that_ends_while_the_page_is_remembered_takes_its_item_with_it(twins):
    assert 9 in twins.again()[0].item_no
    twins.now = NOW + HOUR - 1
    assert 9 in twins.again()[0].item_no
    twins.now = NOW + HOUR
    assert 9 not in twins.again()[0].item_no


def test_a_snapshot_forgets_the_pages_of_the_one_before(twins):
    twins.again()
    twins.again(user="kid")
    twins.take_down(7)
    page, remembered = twins.again()
    assert (7 in page.item_no, remembered, len(twins.memo)) == (False, False, 1)


def test_the_newest_users_are_remembered(world, calm, twins):
    few = Twins(world, calm, size=1)
    few.again()
    few.again(user="kid")
    assert (len(few.memo), few.again(user="kid")[1], few.again()[1]) == (1, True, False)


def test_a_request_that_explores_is_neither_remembered_nor_answered_from_memory(world, rules, twins):
    bold = Twins(world, edited(rules, exploration={"share": 1.0}))
    assert [bold.again()[1] for _ in range(2)] == [False, False]
    assert len(bold.memo) == 0


steps = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([1.0, 600.0, HOUR, 6 * HOUR])),
    st.tuples(st.sampled_from(["watch", "click", "not_interested"]), st.integers(0, COUNT - 1)),
    st.tuples(st.just("ahead"), st.integers(0, COUNT - 1)),
    st.tuples(st.just("take down"), st.integers(0, COUNT - 1)),
    st.tuples(st.just("limit"), st.sampled_from([1, 5, 30])),
)


@given(st.lists(steps, min_size=3, max_size=12))
@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_happens_a_page_is_what_would_be_made_anew(twins, happening):
    twins.sessions.trim("ann", np.inf)
    twins.now, twins.snapshot, limit = NOW, twins.published, 20
    for what, value in happening:
        match what:
            case "wait":
                twins.now += value
            case "take down":
                twins.take_down(value)
            case "limit":
                limit = value
            case "ahead":
                twins.sessions.apply("ann", [SessionEvent(value, "watch", twins.now + HOUR)])
            case _:
                twins.did(what, value)
        for _ in range(2):
            assert same(twins.again(limit)[0], twins.home(limit))
