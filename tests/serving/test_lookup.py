from __future__ import annotations

from dataclasses import replace

import pytest

from conf.errors import ConfigError
from serving.cache import RingCache
from serving.lookup import Lookup, Outcome
from serving.metrics import Metrics
from serving.snapshot import Snapshot
from stores.artefact import load_artefact
from stores.base import StoreTimeout, StoreUnavailable
from stores.opening import open_sessions
from stores.sessions.base import SessionEvent


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Faulty:
    """A real store, or real sessions, with a fault in front that can be switched on; it may take time."""

    def __init__(self, real, clock):
        self.real, self.clock, self.error, self.calls, self.takes = real, clock, None, 0, 0.0

    def ask(self, method, user_id, *more):
        self.calls += 1
        self.clock.now += self.takes
        if self.error is not None:
            raise self.error
        return getattr(self.real, method)(user_id, *more)

    def ring(self, user_id, variant):
        return self.ask("ring", user_id, variant)

    def read(self, user_id):
        return self.ask("read", user_id)


class Parts:
    def __init__(self, world):
        self.world, self.clock, self.metrics = world, Clock(), Metrics()
        self.store = Faulty(world.store, self.clock)
        self.sessions = Faulty(open_sessions(world.settings), self.clock)
        serving = world.settings.serving.model_copy(update={"breaker_failures": 5})
        self.lookup = Lookup(self.store, self.sessions, serving, self.metrics, self.clock)

    def know(self, user="ann"):
        control = self.world.store.read_control()
        generation = control.generation()
        artefact = load_artefact(self.world.settings.artefacts_path, generation.artefact_id)
        return self.lookup.know(user, Snapshot(control, generation, artefact))

    def value(self, name, **labels):
        return self.metrics._registry.get_sample_value(name, labels)


@pytest.fixture
def parts(world):
    return Parts(world)


def items(known):
    return None if known.body is None else known.body.item_no.tolist()


def test_while_the_store_fails_a_list_that_was_seen_stands_in_and_tells_its_age(parts):
    fresh = parts.know()
    assert (fresh.outcome, fresh.age_seconds) == (Outcome.FOUND, None)
    parts.clock.now += 40
    parts.store.error = StoreTimeout("late")
    kept = parts.know()
    assert (kept.outcome, kept.age_seconds, items(kept)) == (Outcome.LATE, 40, items(fresh))
    assert (kept.viewer.maturity_limit, kept.viewer.segment) == (4, "25-34/US")
    assert parts.know("kid").body is None  # never seen
    parts.clock.now += 261
    assert parts.know().body is None  # too old by now


def test_what_the_user_does_meanwhile_counts_on_top_of_a_remembered_list(parts):
    parts.know()
    parts.store.error = StoreUnavailable("gone")
    parts.sessions.real.apply("ann", [SessionEvent(3, "watch", 5.0)])
    assert 3 in parts.know().viewer.hidden


def test_a_remembered_list_is_not_shown_once_its_generation_is_bad(world, parts, make_body):
    world.publish({"ann": make_body([7])}, position=1)
    assert items(parts.know()) == [7]
    held = world.store.read_control()
    parts.store.error = StoreUnavailable("gone")
    world.store.swap_control(held, replace(held, version=held.version + 1, current=1, bad=(2,)))
    assert items(parts.know()) == [11, 10, 9, 8, 3, 4, 5]  # the one before it, which is in the ring too
    world.store.swap_control(world.store.read_control(), replace(held, version=held.version + 2, bad=(1, 2), current=2))
    assert parts.know().body is None


def test_a_user_who_was_erased_is_forgotten(parts, world):
    parts.know()
    world.store.delete("ann")
    assert parts.know().outcome is Outcome.ABSENT
    parts.store.error = StoreUnavailable("gone")
    assert parts.know().body is None


def test_a_store_that_goes_on_failing_is_not_asked_for_a_moment(parts):
    parts.store.error = StoreTimeout("late")
    outcomes = [parts.know().outcome for _ in range(8)]
    assert outcomes == [Outcome.LATE] * 5 + [Outcome.OPEN] * 3
    assert parts.store.calls == 5
    assert parts.value("topshelf_breaker_state", what="list") == 2
    assert parts.value("topshelf_lookups_total", what="list", outcome="open") == 3
    parts.store.error = None
    parts.clock.now += 1
    assert [parts.know().outcome for _ in range(2)] == [Outcome.FOUND] * 2
    assert parts.value("topshelf_breaker_state", what="list") == 0
    assert parts.value("topshelf_breaker_changes_total", what="list", to="open") == 1


def test_sessions_have_a_breaker_of_their_own(parts):
    parts.sessions.error = RuntimeError("a bug")
    assert [parts.know().outcome for _ in range(7)] == [Outcome.FOUND] * 7
    assert parts.sessions.calls == 5
    assert parts.value("topshelf_lookups_total", what="session", outcome="failed") == 5
    assert parts.value("topshelf_lookups_total", what="session", outcome="open") == 2


def test_the_session_is_left_out_only_where_a_failing_store_has_used_its_time_up(parts):
    parts.sessions.real.apply("ann", [SessionEvent(3, "watch", 5.0)])
    parts.store.takes = 0.065
    assert len(parts.know().events) == 1  # slow, but it answered
    parts.store.error = StoreTimeout("late")
    assert parts.know().events == ()
    assert parts.value("topshelf_lookups_total", what="session", outcome="late") == 1
    parts.store.takes = 0.03
    assert len(parts.know().events) == 1


def test_the_cache_keeps_the_newest_users_each_for_a_time():
    clock = Clock()
    cache = RingCache(2, 10, clock)
    for user in ("a", "b", "a", "c"):
        cache.put(user, {0: user.encode()})
    assert [cache.get(user) for user in ("a", "b", "c")] == [({0: b"a"}, 0), None, ({0: b"c"}, 0)]
    clock.now += 10
    assert cache.get("a") == ({0: b"a"}, 10)
    clock.now += 0.5
    assert cache.get("a") is None
    cache.put("c", {})
    assert len(cache) == 0


def test_look_ups_that_leave_no_time_for_the_answer_are_refused(tmp_path, make_home):
    with pytest.raises(ConfigError, match=r"serving\.list_ms \(70\) and serving\.session_ms \(10\) leave nothing"):
        make_home(tmp_path, "serving.list_ms=70")
