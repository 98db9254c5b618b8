from __future__ import annotations

import threading

import pytest

from conf.vocabulary import EVENT_TYPES
from conf.vocabulary import EVENT_TYPES as TABLE_EVENT_TYPES
from stores.base import StoreUnavailable
from stores.sessions.base import MAX_EVENTS, SessionEvent
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


def test_only_the_newest_hundred_are_kept(sessions):
    for number in range(MAX_EVENTS + 5):
        sessions.apply("ann", watch(number, number))
    kept = sessions.read("ann")
    assert [event.item_no for event in kept] == list(range(MAX_EVENTS + 4, 4, -1))


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
