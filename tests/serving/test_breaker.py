"""The breaker against a model of it that is as plain as can be."""

from __future__ import annotations

import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from serving.breaker import WINDOW_SECONDS, Breaker, CircuitOpen, State
from stores.base import StoreTimeout

FAILURES, OPEN_SECONDS = 3, 2.0


def late():
    raise StoreTimeout("late")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock, told=lambda state: None) -> Breaker:
    breaker = Breaker(FAILURES, OPEN_SECONDS, clock, told)
    for _ in range(FAILURES):
        with pytest.raises(StoreTimeout):
            breaker.call(late)
    return breaker


def test_it_opens_probes_once_and_closes():
    clock, told = Clock(), []
    breaker = opened(clock, told.append)
    with pytest.raises(CircuitOpen):
        breaker.call(lambda: "not called")
    clock.now += OPEN_SECONDS

    def probe():
        with pytest.raises(CircuitOpen):  # whoever comes meanwhile
            breaker.call(lambda: "not called")
        return "answer"

    assert breaker.call(probe) == "answer"
    assert told == [State.OPEN, State.HALF_OPEN, State.CLOSED]
    assert breaker.call(lambda: 7) == 7


def test_a_call_that_was_on_its_way_when_it_opened_does_not_close_it_or_hold_it_open():
    clock = Clock()
    breaker = Breaker(FAILURES, OPEN_SECONDS, clock)

    def slow(end):
        for _ in range(FAILURES):
            with pytest.raises(StoreTimeout):
                breaker.call(late)
        clock.now += 1
        return end()

    assert breaker.call(slow, lambda: "late but whole") == "late but whole"
    assert breaker.state is State.OPEN
    clock.now += OPEN_SECONDS - 1
    assert breaker.call(lambda: 1) == 1

    with pytest.raises(StoreTimeout):
        breaker.call(slow, late)
    clock.now += OPEN_SECONDS - 1
    assert breaker.call(lambda: 1) == 1


def test_of_many_threads_one_probes():
    clock = Clock()
    breaker = opened(clock)
    clock.now += OPEN_SECONDS
    together, calls, refused = threading.Barrier(8), [], []

    def probe():
        calls.append(1)
        until_refused.wait(10)

    def ask():
        together.wait(10)
        try:
            breaker.call(probe)
        except CircuitOpen:
            refused.append(1)
            if len(refused) == 7:
                until_refused.set()

    until_refused = threading.Event()
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(calls), len(refused), breaker.state) == (1, 7, State.CLOSED)


class BreakerMachine(RuleBasedStateMachine):
    """The model: open until a time, or closed with the times of the failures since the last success."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(FAILURES, OPEN_SECONDS, self.clock)
        self.until = None
        self.failed = []

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, OPEN_SECONDS, WINDOW_SECONDS / 2, WINDOW_SECONDS + 1]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(works=st.booleans())
    def call(self, works):
        now = self.clock.now
        if self.until is not None and now < self.until:
            with pytest.raises(CircuitOpen):
                self.breaker.call(lambda: 1 / 0)
            return
        if works:
            assert self.breaker.call(lambda: 5) == 5
            self.until, self.failed = None, []
            return
        with pytest.raises(StoreTimeout):
            self.breaker.call(late)
        self.failed = [*(at for at in self.failed if now - at <= WINDOW_SECONDS), now]
        if self.until is not None or len(self.failed) == FAILURES:
            self.until, self.failed = now + OPEN_SECONDS, []

    @invariant()
    def the_state_is_the_models(self):
        assert self.breaker.state is (State.CLOSED if self.until is None else State.OPEN)


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
