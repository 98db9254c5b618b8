from __future__ import annotations

import numpy as np
import pytest

from conf.rules import load_rules
from serving.candidates import near_session
from serving.session import genre_gains, nearest, recent, scale_of, session_vector, similar_gains
from stores.sessions.base import SessionEvent
from tests.serving.films import NOW, Cinema, films, numbers

RULES = load_rules().session
LIST = list(range(10))


def happened(*events, since=0.0, until=NOW, items=100, rules=RULES):
    """events: (item, kind) newest first, a minute apart."""
    made = [SessionEvent(item, kind, NOW - 60 * place) for place, (item, kind) in enumerate(events)]
    return recent(made, since, until, items, rules)


def test_positive_events_count_newest_first_and_an_item_once():
    found = happened((4, "click"), (5, "impression"), (6, "watch"), (4, "watch"), (7, "rate"), (8, "add_to_list"))
    assert found.item_no.tolist() == [4, 6, 8]
    assert found.weight.tolist() == pytest.approx([1, 0.9, 0.81])
    assert found.watched.tolist() == [True, True, False]


def test_what_the_list_knows_what_is_yet_to_come_and_unknown_items_do_not_count():
    events = [(1, "click"), (2, "click"), (3, "click")]
    assert happened(*events, since=NOW - 60).item_no.tolist() == [1]
    assert happened(*events, until=NOW - 60).item_no.tolist() == [2, 3]
    assert happened(*events, items=2).item_no.tolist() == [1]
    assert happened(*events, since=NOW) is None


def test_only_the_newest_twenty_count():
    assert len(happened(*[(number, "click") for number in range(30)]).item_no) == 20


def test_gains_decay_add_up_and_name_the_newest_item_they_come_from():
    similar = np.array([[2, 3], [3, -1], [0, 0], [0, 0]], np.int32)
    score = np.array([[0.5, 0.4], [1.0, 0.9], [0, 0], [0, 0]], np.float32)
    gains = similar_gains(happened((0, "click"), (1, "watch")), similar, score, weight=2.0)
    assert gains.item_no.tolist() == [2, 3]
    assert gains.gain.tolist() == pytest.approx([2 * 0.5, 2 * (0.4 + 0.9 * 1.0)])
    assert gains.led_by.tolist() == [0, 0]
    gain, entries = gains.of(numbers(3, 1, 2))
    assert gain.tolist() == pytest.approx([2.6, 0, 1.0])
    assert entries.tolist() == [1, 0]


def test_items_similar_to_nothing_give_nothing():
    assert similar_gains(happened((0, "click")), np.full((1, 3), -1, np.int32), np.zeros((1, 3), np.float32), 1) is None


def test_each_watch_adds_a_step_for_each_of_its_genres():
    genres = np.array([0b011, 0b110, 0b100, 0b1000], np.uint64)
    found = genre_gains(happened((0, "watch"), (1, "watch"), (3, "click")), genres, numbers(0, 1, 2, 3), 0.1)
    assert found.tolist() == pytest.approx([0.3, 0.3, 0.1, 0])
    assert genre_gains(happened((0, "click")), genres, numbers(0), 0.1) is None


def test_a_sessions_vector_is_the_decayed_mean_of_directions_at_unit_length():
    vectors = np.array([[1, 0], [0, 7], [0, 0]], np.float32)
    found = session_vector(happened((0, "click"), (1, "click")), vectors)
    assert found.tolist() == pytest.approx((np.array([1, 0.9]) / np.hypot(1, 0.9)).tolist())
    assert session_vector(happened((2, "click")), vectors) is None
    assert session_vector(happened((2, "click")), vectors, numbers(0), 2.0) is None, "popularity alone is another tier"


def test_what_is_popular_counts_like_some_events():
    vectors = np.array([[1, 0], [0, 3], [0, 0.5], [0, 0]], np.float32)
    found = session_vector(happened((0, "click")), vectors, numbers(1, 2), 2.0)
    assert found.tolist() == pytest.approx((np.array([1, 2]) / np.hypot(1, 2)).tolist())
    alone = session_vector(happened((0, "click")), vectors, numbers(3), 2.0)
    assert alone.tolist() == [1, 0], "popular items without vectors say nothing"


def test_the_nearest_are_in_order_and_never_shut():
    vectors = np.array([[0.1, 0], [0.9, 0], [0.5, 0], [0.7, 0]], np.float32)
    shut = np.array([False, True, False, False])
    vector = np.array([1, 0], np.float32)
    assert nearest(vectors, vector, np.ones(4, np.float32), shut, 2).tolist() == [3, 2]
    assert nearest(vectors, vector, np.ones(4, np.float32), shut, 9).tolist() == [3, 2, 0]


def test_items_count_by_the_square_root_of_their_length():
    vectors = np.array([[0, 4], [2.4, 3.2], [1.44, 0], [0, 0]], np.float32)
    scaled = vectors[:, 0] * scale_of(vectors)
    assert scaled.tolist() == pytest.approx([0, 0.6 * 2, 1.2, 0])


@pytest.fixture
def cinema(world, rules, make_body):
    """Ann's list is 0 to 9, half a unit of log-odds apart. Films 9, 20 and 15 are like film 30; 20 and on are newer."""
    similar = np.full((40, 3), -1, np.int32)
    similar[30] = [9, 20, 15]
    score = np.tile(np.array([0.9, 0.8, 0.8], np.float32), (40, 1))
    world.publish(
        {"ann": make_body(LIST, anchors=())}, position=1, knew=20, **films(40, similar=similar, similar_score=score)
    )
    return Cinema(world, rules)


def test_what_is_like_a_click_rises_and_enters(cinema):
    assert cinema.home(10).item_no == LIST
    cinema.did("click", 30)
    page = cinema.home(11)
    # 9 gains 0.45, not yet a rank; 20 enters level with the ten items' fitted end.
    assert page.item_no.index(20) < 11
    assert 15 not in page.item_no, "the list could have had it"
    assert page.reason[page.item_no.index(20)] == "More like Film 30"
    assert page.tier[page.item_no.index(20)] == "personalized"
    for ago in range(2, 8):
        cinema.did("click", 30, ago)
    assert cinema.home(11).item_no == page.item_no, "an item counts once"


def test_a_watch_hides_its_item_and_moves_its_genre(world, cinema, make_body):
    cinema.did("watch", 3)
    page = cinema.home(10)
    assert 3 not in page.item_no
    assert page.item_no[:9] == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_events_that_the_list_knows_move_nothing(world, cinema):
    cinema.did("click", 30, ago=NOW)
    assert cinema.home(10).item_no == LIST


def test_one_event_gives_a_stranger_a_page_of_their_own(world, rules):
    vectors = np.zeros((30, 2), np.float32)
    vectors[[5, 17, 11, 2]] = [[1, 0], [0.9, 0], [0.8, 0], [0.7, 0]]
    world.publish({}, position=1, **films(30, vectors=vectors))
    cinema = Cinema(world, rules)
    assert (cinema.home(3, "new").source, cinema.home(3, "new").item_no) == ("popular", [0, 1, 2])
    cinema.did("watch", 5, user="new")
    page = cinema.home(3, "new")
    assert (page.source, page.item_no) == ("session", [17, 11, 2])
    assert page.reason[0] == "Based on your recent activity"
    cinema.did("not_interested", 17, user="new")
    assert cinema.home(2, "new").item_no == [11, 2]


def test_for_a_stranger_of_a_known_segment_what_is_popular_there_joins_in(world):
    vectors = np.zeros((6, 2), np.float32)
    vectors[[0, 1, 2, 3]] = [[1, 0], [0.6, 0.8], [0, 1], [0.6, -0.8]]
    popular = {"global": numbers(2), "segment:18-24/US": numbers(3)}
    world.publish({}, position=1, **films(6, vectors=vectors, popular=popular))
    artefact = Cinema(world, load_rules()).snapshot.artefact
    shut = np.array([True, False, True, False, True, True])

    def first(segment):
        near = near_session(artefact, scale_of(vectors), happened((0, "watch")), segment, shut, RULES)
        return near[0]

    assert (first("18-24/US"), first("65+/US"), first(None)) == (3, 1, 1)
