from __future__ import annotations

import threading

import pytest

from conf.vocabulary import EVENT_TYPES
from conf.vocabulary import EVENT_TYPES as TABLE_EVENT_TYPES
from stores.base import StoreUnavailable
from stores.sessions.base import HIDING_EVENTS, MAX_EVENTS, MAX_HIDDEN, SessionEvent
from stores.sessions.embedded import EmbeddedSessions


@pytest.fixture
def sessions(tmp_path):
    sessions = EmbeddedSessions(tmp_path / "sessions", map_size_gb=1)
    yield sessions
    sessions.close()


def watch(item_no, timestamp):
    return SessionEvent(item_no, "watch", float(timestamp))


def test_events_come_back_by_time_newest_first(sessions):
    for event in (watch(1, 10), SessionEvent(2, "not_interested", 30.5), watch(3, 20)):
        sessions.apply("ann", event)
    assert sessions.read("ann") == (SessionEvent(2, "not_interested", 30.5), watch(3, 20), watch(1, 10))
    assert sessions.read("bob") == ()


def test_the_same_event_counts_once(sessions):
    sessions.apply("ann", watch(1, 10))
    sessions.apply("ann", watch(1, 10))
    assert sessions.read("ann") == (watch(1, 10),)


def test_only_the_newest_hundred_events_that_hide_nothing_are_kept(sessions):
    for number in range(MAX_EVENTS + 5):
        sessions.apply("ann", SessionEvent(number, "click", float(number)))
    kept = sessions.read("ann")
    assert [event.item_no for event in kept] == list(range(MAX_EVENTS + 4, 4, -1))


def test_impressions_and_clicks_push_no_hidden_item_out(sessions):
    hiding = [SessionEvent(number, kind, float(number)) for number, kind in enumerate(sorted(HIDING_EVENTS))]
    for event in hiding:
        sessions.apply("ann", event)
    for number in range(MAX_EVENTS + 5):
        sessions.apply("ann", SessionEvent(7, "impression" if number % 2 else "click", 100.0 + number))
    assert sessions.read("ann")[MAX_EVENTS:] == tuple(reversed(hiding))


def test_of_the_events_that_hide_an_item_the_newest_is_kept(sessions):
    for event in (watch(1, 10), SessionEvent(1, "not_interested", 30.0), SessionEvent(1, "rate", 20.0)):
        sessions.apply("ann", event)
    assert sessions.read("ann") == (SessionEvent(1, "not_interested", 30.0),)


def test_the_items_hidden_last_stay_when_there_are_too_many(sessions, monkeypatch):
    assert MAX_HIDDEN == 5_000
    monkeypatch.setattr("stores.sessions.embedded.MAX_HIDDEN", 3)
    for number in (4, 1, 5, 3, 2):
        sessions.apply("ann", watch(number, number))
    assert [event.item_no for event in sessions.read("ann")] == [5, 4, 3]


def test_no_event_is_lost_between_writers(sessions, tmp_path):
    def apply(first):
        mine = EmbeddedSessions(tmp_path / "sessions", map_size_gb=1)
        for number in range(first, first + 20):
            mine.apply("ann", watch(number, number))
        mine.close()

    threads = [threading.Thread(target=apply, args=(first,)) for first in (0, 20, 40, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {event.item_no for event in sessions.read("ann")} == set(range(80))


def test_a_folder_that_cannot_be_opened_is_unavailable(tmp_path):
    (tmp_path / "sessions").write_text("in the way")
    sessions = EmbeddedSessions(tmp_path / "sessions", map_size_gb=1)
    with pytest.raises(StoreUnavailable):
        sessions.apply("ann", watch(1, 1))
    with pytest.raises(StoreUnavailable):
        sessions.read("ann")


def test_event_types_are_those_of_the_events_table():
    assert EVENT_TYPES == TABLE_EVENT_TYPES
