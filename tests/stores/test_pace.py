from __future__ import annotations

import math
import threading
from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.pace import BATCH, CLIMB_SECONDS, FLOOR, Pace


class Clock:
    """Time that passes only by sleeping, or by hand."""

    def __init__(self, late=0.0):
        self.now = 100.0
        self.late = late

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds + self.late


def paced(budget, clock):
    return Pace(budget, clock, clock.sleep)


def seconds_for(pace, clock, units, batch=25):
    start = clock.now
    for _ in range(units // batch):
        pace.take(batch)
    return clock.now - start


def test_a_budget_is_spent_at_its_rate_after_the_first_burst():
    clock = Clock()
    pace = paced(1000, clock)
    assert pace.burst == 200
    assert seconds_for(pace, clock, 200) == 0
    assert seconds_for(pace, clock, 1000) == pytest.approx(1, abs=0.01)


def test_a_budget_smaller_than_a_batch_grants_one_after_the_other():
    clock = Clock()
    pace = paced(5, clock)
    pace.take(25)
    assert seconds_for(pace, clock, 50) == pytest.approx(10, abs=0.01)


def test_a_pause_saves_up_one_burst_and_no_more():
    clock = Clock()
    pace = paced(1000, clock)
    clock.now += 3600
    assert seconds_for(pace, clock, 200) == 0
    assert seconds_for(pace, clock, 25) > 0


def test_nobody_without_a_budget_waits_before_the_first_throttling():
    clock = Clock()
    pace = paced(None, clock)
    assert seconds_for(pace, clock, 100_000) == 0
    assert pace.rate == math.inf


def test_throttling_halves_the_rate_once_a_second_down_to_the_floor():
    clock = Clock()
    pace = paced(100, clock)
    rates = []
    for _ in range(4):
        pace.throttled()
        pace.throttled()
        rates.append(pace.rate)
        clock.now += 1
    assert rates == [50, 25, FLOOR, FLOOR]


def test_a_part_refused_takes_its_part_of_that():
    pace = paced(100, Clock())
    pace.throttled(0.2)
    assert pace.rate == pytest.approx(90)


def test_successes_climb_back_to_the_budget_and_not_beyond():
    clock = Clock()
    pace = paced(100, clock)
    pace.throttled()
    pace.succeeded(25)
    assert pace.rate == 50 + 100 / CLIMB_SECONDS * 0.5
    for _ in range(100):
        pace.succeeded(25)
    assert pace.rate == 100


def test_without_a_budget_it_goes_on_from_what_the_first_second_showed():
    clock = Clock()
    pace = paced(None, clock)
    for step in range(100):
        pace.throttled()
        assert pace.rate == math.inf, step
        pace.succeeded(10)
        clock.now += 0.009
    clock.now += 0.09
    pace.throttled()
    assert pace.rate == pytest.approx(1000 / 2, rel=0.02)
    assert seconds_for(pace, clock, 5000) == pytest.approx(10, abs=0.3)


def test_without_a_budget_it_climbs_as_long_as_its_rate_is_the_limit():
    clock = Clock()
    pace = paced(None, clock)
    pace.throttled()
    clock.now += 1
    pace.throttled()
    rates = [pace.rate]
    for _ in range(1000):
        clock.now += 0.25
        pace.succeeded(25)
        rates.append(pace.rate)
    assert rates[0] == FLOOR
    assert rates[100] > 2 * FLOOR
    assert 200 <= rates[-1] <= 260


def test_more_than_a_batch_at_once_is_a_mistake():
    with pytest.raises(ValueError, match="at most"):
        paced(1000, Clock()).take(BATCH + 1)


acts = st.one_of(
    st.tuples(st.just("take"), st.floats(0.1, 25)),
    st.tuples(st.just("succeeded"), st.floats(0.1, 25)),
    st.tuples(st.just("pass"), st.floats(0, 5)),
    st.tuples(st.just("throttled"), st.none()),
)


@given(st.floats(1, 2000), st.lists(acts, max_size=40), st.sampled_from([0.0, 0.001, 0.7]))
def test_no_stretch_of_time_is_granted_more_than_its_budget_and_one_burst(budget, script, late):
    clock = Clock(late)
    pace = paced(budget, clock)
    burst, granted = pace.burst, []
    for act, amount in script:
        if act == "take":
            pace.take(amount)
            granted.append((clock.now, amount))
        elif act == "succeeded":
            pace.succeeded(amount)
        elif act == "throttled":
            pace.throttled()
        else:
            clock.now += amount
    for (first, (start, _)), (last, (end, _)) in combinations_with_replacement(enumerate(granted), 2):
        spent = sum(units for _, units in granted[first : last + 1])
        assert spent <= budget * (end - start) + burst + 1e-6


def test_threads_share_one_budget():
    lock = threading.Lock()
    now = [0.0]

    def sleep(seconds):
        with lock:
            now[0] += seconds

    pace = Pace(100, lambda: now[0], sleep)
    threads = [threading.Thread(target=lambda: [pace.take(25) for _ in range(10)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert now[0] == pytest.approx((8 * 10 * 25 - pace.burst) / 100, abs=0.1)
