"""What every session store does, on the real ones."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as some

from conf.settings import Settings
from conf.vocabulary import EVENT_TYPES
from stores.opening import open_sessions
from stores.sessions.base import HIDING_EVENTS, MAX_EVENTS, MAX_HIDDEN, SessionEvent, Sessions
from tests.services.stores import session_settings

Connect = Callable[[], Sessions]


@pytest.fixture(params=["embedded", "redis"])
def connect(request: pytest.FixtureRequest, settings: Settings) -> Connect:
    """Opens the same empty store anew."""
    chosen = session_settings(request, settings, request.param)
    return lambda: open_sessions(chosen)


@pytest.fixture
def sessions(connect: Connect) -> Iterator[Sessions]:
    sessions = connect()
    yield sessions
    sessions.close()


def watch(item_no: int, timestamp: float, logged_at: float = 1e9) -> SessionEvent:
    return SessionEvent(item_no, "watch", float(timestamp), logged_at)


def click(item_no: int, timestamp: float, logged_at: float = 1e9) -> SessionEvent:
    return SessionEvent(item_no, "click", float(timestamp), logged_at)


def test_events_come_back_by_time_newest_first(sessions: Sessions) -> None:
    refused = SessionEvent(2, "not_interested", 30.5)
    assert sessions.apply("ann", [watch(1, 10), refused]) == 2
    assert sessions.apply("ann", [watch(3, 20)]) == 3
    assert sessions.read("ann") == (refused, watch(3, 20), watch(1, 10))
    assert sessions.read("bob") == ()


def test_an_empty_store_has_nobody(connect: Connect) -> None:
    assert connect().read("ann") == ()
    connect().trim("ann", 1e12)


def test_who_is_forgotten_has_no_session_and_others_go_on(sessions: Sessions, connect: Connect) -> None:
    with closing(connect()) as other:
        for user in ("ann", "bob"):
            other.apply(user, [watch(1, 10)])
        sessions.forget("ann")
        sessions.forget("nobody")
        sessions.scrub()
        assert (other.read("ann"), other.read("bob")) == ((), (watch(1, 10),))
        assert other.apply("bob", [watch(2, 20)]) == 2
        assert sessions.read("bob") == (watch(2, 20), watch(1, 10))


def test_any_user_id_is_a_user_of_its_own(sessions: Sessions) -> None:
    names = ["a", "A", "ä", "a b", "a\n", "*", "{a}", "x" * 64]
    for number, name in enumerate(names):
        sessions.apply(name, [watch(number, 1)])
    assert [sessions.read(name) for name in names] == [(watch(number, 1),) for number in range(len(names))]


def test_the_same_event_counts_once(sessions: Sessions) -> None:
    for event in (watch(1, 10), click(1, 10)):
        sessions.apply("ann", [event, event])
        sessions.apply("ann", [event])
    assert sorted(event.event_type for event in sessions.read("ann")) == ["click", "watch"]


def test_only_the_newest_hundred_events_that_hide_nothing_are_kept(sessions: Sessions) -> None:
    held = sessions.apply("ann", [click(number, number) for number in range(MAX_EVENTS + 5)])
    kept = sessions.read("ann")
    assert held == MAX_EVENTS
    assert [event.item_no for event in kept] == list(range(MAX_EVENTS + 4, 4, -1))


def test_impressions_and_clicks_push_no_hidden_item_out(sessions: Sessions) -> None:
    hiding = [SessionEvent(number, kind, float(number)) for number, kind in enumerate(sorted(HIDING_EVENTS))]
    sessions.apply("ann", hiding)
    others = ("impression", "click")
    sessions.apply("ann", [SessionEvent(7, others[n % 2], 100.0 + n) for n in range(MAX_EVENTS + 5)])
    assert sessions.read("ann")[MAX_EVENTS:] == tuple(reversed(hiding))


def test_of_the_events_that_hide_an_item_the_newest_is_kept(sessions: Sessions) -> None:
    for event in (watch(1, 10), SessionEvent(1, "not_interested", 30.0), SessionEvent(1, "rate", 20.0)):
        sessions.apply("ann", [event])
    assert sessions.read("ann") == (SessionEvent(1, "not_interested", 30.0),)


def test_the_items_hidden_last_stay_when_there_are_too_many(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_HIDDEN == 5_000
    monkeypatch.setattr("stores.sessions.packing.MAX_HIDDEN", 3)
    for number in (4, 1, 5, 3, 2):
        sessions.apply("ann", [watch(number, number)])
    assert [event.item_no for event in sessions.read("ann")] == [5, 4, 3]


def test_a_trim_drops_what_both_happened_and_was_logged_before(sessions: Sessions) -> None:
    reflected = [watch(1, 10, 20), click(2, 10, 99)]
    late, ahead, unknown = watch(3, 10, 100), watch(4, 100, 20), SessionEvent(5, "click", 10)
    sessions.apply("ann", [*reflected, late, ahead, unknown])
    sessions.trim("ann", 5.0)
    assert len(sessions.read("ann")) == 5
    sessions.trim("ann", 100.0)
    assert set(sessions.read("ann")) == {late, ahead, unknown}
    sessions.apply("bob", reflected)
    sessions.trim("bob", 100.0)
    assert sessions.read("bob") == ()


def test_no_event_is_lost_between_writers_and_trims(sessions: Sessions, connect: Connect) -> None:
    def apply(first: int) -> None:
        mine = connect()
        for number in range(first, first + 20):
            mine.apply("ann", [watch(number, number)])
            mine.trim("ann", 50.0)
        mine.close()

    threads = [threading.Thread(target=apply, args=(first,)) for first in (0, 20, 40, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {event.item_no for event in sessions.read("ann")} == set(range(80))


def test_a_closed_store_opens_again(sessions: Sessions) -> None:
    sessions.apply("ann", [watch(1, 10)])
    sessions.close()
    assert sessions.read("ann") == (watch(1, 10),)


_KINDS = {name: number for number, name in enumerate(EVENT_TYPES)}
_MOMENTS = some.sampled_from([1.0, 2.0, 3.0])
_EVENTS = some.lists(
    some.builds(SessionEvent, some.integers(0, 3), some.sampled_from(EVENT_TYPES), _MOMENTS, _MOMENTS), max_size=12
)


@how(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=_EVENTS, cuts=some.lists(some.integers(0, 12), max_size=3))
def test_in_whatever_order_and_parts_events_come_the_session_is_the_same(
    sessions: Sessions, events: list[SessionEvent], cuts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.sessions.packing.MAX_HIDDEN", 3)
    monkeypatch.setattr("stores.sessions.packing.MAX_EVENTS", 3)
    whole, parts = uuid.uuid4().hex, uuid.uuid4().hex
    sessions.apply(whole, events)
    edges = [0, *sorted(cuts), len(events)]
    for start, end in pairwise(edges):
        sessions.apply(parts, list(reversed(events[start:end])))
    assert sessions.read(parts) == sessions.read(whole)
    assert sessions.read(whole) == _expected(events)


def _expected(events: list[SessionEvent]) -> tuple[SessionEvent, ...]:
    """What three hidden items and three other events leave of `events`, worked out the long way."""
    ranked = sorted(
        events, key=lambda event: (event.timestamp, event.item_no, _KINDS[event.event_type], event.logged_at)
    )
    hiding = {event.item_no: event for event in ranked if event.event_type in HIDING_EVENTS}
    others = {event[:3]: event for event in ranked if event.event_type not in HIDING_EVENTS}
    kept = {*sorted(hiding.values(), key=ranked.index)[-3:], *sorted(others.values(), key=ranked.index)[-3:]}
    return tuple(event for event in dict.fromkeys(reversed(ranked)) if event in kept)
