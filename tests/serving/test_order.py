from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.request import Request, assigned
from stores.changing import change_control
from stores.control import Trending
from tests.serving.films import NOW, Cinema, edited, films, numbers

COUNT = 70
LIST = list(range(30, 50))


@pytest.fixture
def cinema(world, rules, make_body):
    """Ann's list is 30 to 49; what is popular begins with 0."""

    def make(rules=rules, items=LIST, count=COUNT, **changes):
        world.publish({"ann": make_body(items, anchors=())}, position=world.generation % 3, **films(count, **changes))
        return Cinema(world, rules)

    return make


def pinned(rules, *items, per_page=9):
    return edited(rules, promotions={"per_page": per_page, "items": [{"contexts": ["home"], **item} for item in items]})


def test_at_most_two_of_a_director_stand_in_a_window(cinema):
    directors = [None] * COUNT
    directors[30:33] = ["Ava"] * 3
    assert cinema(directors=directors).home(5).item_no == [30, 31, 33, 34, 35]
    page = cinema(items=LIST[:19], directors=directors).home(30)
    # Until two of the director are out of the window; then the third is the best there is.
    assert page.item_no[:21] == [30, 31, *range(33, 49), 0, 1, 32]


def test_a_director_gives_way_rather_than_a_page(cinema):
    cinema = cinema(directors=["Ava"] * COUNT)
    assert cinema.home(COUNT).item_no[:20] == LIST
    assert len(cinema.home(COUNT).item_no) == COUNT


def test_a_promotion_has_its_slot_and_no_other(cinema, rules):
    page = cinema(pinned(rules, {"item_id": "m34", "slot": 2})).home(6)
    assert page.item_no == [30, 34, 31, 32, 33, 35]
    assert (page.reason[1], page.tier[1], page.source, page.score[1]) == (
        "Featured", "promoted", "personalized", page.score[2]
    )  # fmt: skip


def test_promotions_hold_in_their_time_and_context_up_to_the_cap(cinema, rules):
    early = {"item_id": "m1", "slot": 1, "until": "2026-11-23T13:30:00Z"}
    late = {"item_id": "m2", "slot": 1, "from": "2026-11-23T13:30:01Z"}
    elsewhere = {"item_id": "m3", "slot": 1, "contexts": ["search"]}
    first, second = {"item_id": "m4", "slot": 3}, {"item_id": "m5", "slot": 2}
    crowded = {"item_id": "m6", "slot": 3}
    items = (early, late, elsewhere, first, crowded, second, {"item_id": "unheard", "slot": 4})
    assert cinema(pinned(rules, *items)).home(4).item_no == [30, 5, 4, 31]
    assert cinema(pinned(rules, *items, per_page=1)).home(4).item_no == [30, 31, 4, 32]


def test_a_promotion_never_passes_a_filter(cinema, rules):
    cinema = cinema(pinned(rules, {"item_id": "m1", "slot": 1}))
    cinema.did("not_interested", 1)
    assert cinema.home(2).item_no == [30, 31]


def test_a_promotion_closes_a_page_that_is_shorter_than_its_slot(cinema, rules):
    cinema = cinema(pinned(rules, {"item_id": "m1", "slot": 9}), items=[], count=4)
    assert cinema.home().item_no == [0, 2, 3, 1]


sizes = st.lists(st.integers(1, 30), min_size=1, max_size=9)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(sizes=sizes, share=st.sampled_from([0.0, 1.0]), listed=st.integers(0, 20), seed=st.text(max_size=3))
def test_pages_of_any_sizes_are_one_order_without_repetition(world, rules, make_body, sizes, share, listed, seed):
    if world.generation == 1:
        directors = [f"D{number % 4}" for number in range(COUNT)]
        genre = (np.arange(COUNT) % 5).astype(np.uint8)
        lists = {f"u{count}": make_body(LIST[:count], anchors=()) for count in range(21)}
        world.publish(lists, position=1, **films(COUNT, directors=directors, primary_genre=genre))
    cinema = Cinema(world, edited(pinned(rules, {"item_id": "m9", "slot": 5}), exploration={"share": share}))
    user, offset, found, propensity = f"u{listed}", 0, [], []
    whole = cinema.home(COUNT, user=user, seed=seed)
    for size in sizes:
        page = cinema.home(size, user=user, seed=seed, offset=offset)
        assert page.more == (offset + size < COUNT)
        found += page.item_no
        propensity += page.propensity
        offset = page.next_offset
    assert found == whole.item_no[: len(found)]
    assert propensity == whole.propensity[: len(found)]
    assert sorted(whole.item_no) == list(range(COUNT))
    assert not whole.more


def test_what_is_done_between_pages_moves_nothing_and_hides_at_once(cinema, rules):
    similar = np.full((COUNT, 3), -1, np.int32)
    similar[30, 0] = 49
    cinema = cinema(similar=similar, similar_score=np.ones((COUNT, 3), np.float32))
    first = cinema.home(5)
    cinema.now += 60
    cinema.did("watch", 30, ago=1)
    cinema.did("watch", 36, ago=1)
    second = cinema.home(5, offset=first.next_offset, as_of=first.as_of)
    assert second.item_no == [35, 37, 38, 39, 40]
    third = cinema.home(5, offset=second.next_offset, as_of=first.as_of)
    assert third.item_no == [41, 42, 43, 44, 45]
    assert cinema.home(2).item_no == [31, 32], "a new order has it all"


def test_what_was_watched_before_and_is_again_between_pages_moves_nothing(cinema, world, rules, make_body):
    cinema(items=LIST)
    world.publish({"ann": make_body(LIST, anchors=(30,))}, position=2, **films(COUNT))
    again = Cinema(world, rules)
    first = again.home(3)
    again.now += 60
    again.did("watch", 30, ago=1)
    assert first.item_no == [31, 32, 33]
    assert again.home(3, offset=3, as_of=first.as_of).item_no == [34, 35, 36]


def test_a_baseline_user_gets_the_popular_list_and_their_session_filters_it(cinema, rules):
    cinema = cinema(edited(rules, baseline={"share": 1}))
    cinema.did("watch", 1)
    page = cinema.home(3)
    assert (page.item_no, page.source, page.assigned) == ([0, 2, 3], "popular", "popular")
    assert page.propensity == [1, 1, 1]


def test_the_baseline_group_is_a_steady_share_of_users(rules):
    users = [f"user_{number}" for number in range(20_000)]
    group = [user for user in users if assigned(user, rules.baseline) == "popular"]
    assert 140 <= len(group) <= 260
    assert assigned(None, rules.baseline) == "champion"
    other = edited(rules, baseline={"salt": "another"}).baseline
    assert group != [user for user in users if assigned(user, other) == "popular"]


@dataclass
class Hits:
    item_no: np.ndarray
    score: np.ndarray


def found(cinema, hits, limit=10, user="ann", **asked):
    made = Hits(numbers(*hits), np.array(list(hits.values()), np.float32))
    asked = Request(user_id=user, limit=limit, seed="s", page="search", **asked)
    return cinema.recommender.found(cinema.snapshot, asked, made)


def test_hits_are_ordered_by_text_and_taste_and_nothing_is_added(cinema):
    vectors = np.zeros((COUNT, 2), np.float32)
    vectors[2] = [3, 3]  # Ann's vector is (1, 1)
    cinema = cinema(vectors=vectors)
    # Outside Ann's list and away from her vector the text decides.
    assert found(cinema, {0: 2.0, 1: 3.0}).item_no == [1, 0]
    # Item 2 is along her vector: 2.9 × 1.5 against 3 × 1.25. Item 30 is likely on her list: 2.9 × (1.25 + 0.44).
    assert found(cinema, {1: 3.0, 2: 2.9}).item_no == [2, 1]
    page = found(cinema, {1: 3.0, 30: 2.9})
    assert page.item_no == [30, 1]
    assert (page.reason[0], page.source, page.more) == ("Matches your search", "search", False)
    # More than twice the text score is beyond taste.
    assert found(cinema, {1: 6.1, 30: 3.0, 2: 3.0}).item_no[0] == 1
    assert found(cinema, {1: 3.0, 2: 2.9, 30: 2.8}, user=None).item_no == [1, 2, 30]
    assert found(cinema, {}).item_no == []


def test_hits_are_filtered_and_paged(cinema):
    cinema = cinema()
    cinema.did("watch", 3)
    hits = {number: 9.0 - number for number in range(6)}
    first = found(cinema, hits, limit=2)
    second = found(cinema, hits, limit=9, offset=first.next_offset)
    assert (first.item_no, first.more, second.item_no, second.more) == ([0, 1], True, [2, 4, 5], False)


def test_shelves_have_titles_and_no_item_twice(cinema, rules, make_body):
    similar = np.full((COUNT, 3), -1, np.int32)
    similar[65] = [30, 60, 61]
    popular = {
        "global": np.arange(COUNT, dtype=np.int32),
        "trending": numbers(30, 1, 2),
        "new": numbers(31),
        "genre:G31": numbers(0, 1, 3),
    }
    cinema = cinema(similar=similar, similar_score=np.ones((COUNT, 3), np.float32), popular=popular)
    cinema.did("watch", 65)
    request = Request(user_id="ann", limit=2, seed="s")
    rows = [(shelf.title, shelf.page.item_no) for shelf in cinema.recommender.shelves(cinema.snapshot, request)]
    assert rows == [
        ("Picked for you", [30, 31]),
        ("Because you watched Film 65", [60, 61]),
        ("Trending now", [1, 2]),
        ("Top in G31", [0, 3]),
        ("Popular now", [4, 5]),
    ]
    stranger = Request(user_id=None, limit=2, seed="s")
    titles = [shelf.title for shelf in cinema.recommender.shelves(cinema.snapshot, stranger)]
    assert titles == ["Trending now", "New releases", "Top in G31", "Popular now"]


def test_what_the_stream_counts_stands_on_the_shelf_until_a_generation_is_newer(world, make_client):
    client = make_client()

    def shelf() -> list[str]:
        client.follower.poll()
        found = client("/api/v1/home?limit=9").json["shelves"]
        rows = {row["title"]: [item["item_id"] for item in row["recommendations"]] for row in found}
        return rows.get("Trending now", [])

    def counted(hours: int, *items: int) -> None:
        at = (datetime.fromisoformat(world.store.read_control().live[0].made_at) + timedelta(hours=hours)).isoformat()
        change_control(world.store, lambda control: control.with_trending(Trending(items, at)), "")

    assert shelf() == []
    counted(1, 99, 7, 11, 6)  # no such item yet, one that may be shown, an inactive one, another
    assert shelf() == ["m7", "m6"]
    counted(-1, 6)
    assert shelf() == []


def test_a_trace_says_what_the_page_does(cinema, rules):
    similar = np.full((COUNT, 3), -1, np.int32)
    similar[65, 0] = 40
    directors = [None] * COUNT
    directors[30:33] = ["Ava"] * 3
    cinema = cinema(
        pinned(rules, {"item_id": "m34", "slot": 2}),
        similar=similar,
        similar_score=np.ones((COUNT, 3), np.float32),
        directors=directors,
    )
    cinema.did("click", 65)
    cinema.did("watch", 35, ago=90)
    page = cinema.home(10)
    asked = Request(user_id="ann", limit=10, seed="r0")

    def why(number):
        return cinema.recommender.explain(cinema.snapshot, asked, number)

    for place, number in enumerate(page.item_no):
        trace = why(number)
        assert (trace.place, trace.placed_as, trace.propensity) == (place, page.tier[place], page.propensity[place])
    risen = why(40)
    assert (risen.tier, risen.log_odds, risen.similar) == ("personalized", 160 / 16 - 8 - 0.5 * 10, 0.5)
    assert risen.place is not None
    assert why(36).genre == 0
    assert (why(35).removed_by, why(35).place) == ("hidden", None)
    assert (why(32).held_by, why(32).place, why(32).removed_by) == ("director", None, None)
    assert (why(34).tier, why(34).placed_as) == ("personalized", "promoted")
    assert (why(3).tier, why(3).rank, why(3).log_odds, why(3).place) == ("popular", 3, None, None)


def test_the_clock_of_a_device_that_runs_ahead_counts_at_once(cinema):
    similar = np.full((COUNT, 3), -1, np.int32)
    similar[65, 0] = 31
    cinema = cinema(similar=similar, similar_score=np.full((COUNT, 3), 2, np.float32))
    cinema.did("click", 65, ago=-300)
    page = cinema.home(2)
    assert page.item_no == [31, 30]
    assert page.as_of == NOW + 300
    assert cinema.home(2, offset=2, as_of=page.as_of).item_no == [32, 33]
