"""How fast a writer may go: a token bucket whose rate gives way when the store asks to slow down."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

FLOOR = 25.0
"""Units a second below which nothing slows down: one batch."""
BATCH = 25.0
BURST_SECONDS = 0.2
"""A bucket of this many seconds at the present rate rides over a thread that wakes up late."""
HOLD_SECONDS = 1.0
"""One slowing-down at most in this time: answers to what was sent before it say nothing about the new rate."""
WATCH_SECONDS = 0.9
CLIMB_SECONDS = 10.0
"""From half to full speed takes half of this."""
_SHORTEST_SLEEP, _LONGEST_SLEEP = 0.001, 1.0


class Pace:
    """Grants units to any number of threads, first come, first served.

    With a budget, never more than budget × t + `burst` units are granted in any t seconds. Told that the store
    throttles, it gives up to half of its rate away, down to a floor; told of successes, it climbs back in a straight
    line. Without a budget it holds nobody up until the first throttling, then goes on from the rate that was observed,
    and climbs without a ceiling.
    """

    def __init__(
        self,
        budget: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        batch: float = BATCH,
    ) -> None:
        """batch: the most units that one `take` asks for."""
        self._budget = budget
        self._clock = clock
        self._sleep = sleep
        self._batch = batch
        self._turn = threading.Lock()
        """Held by the one thread that waits for units; the others queue behind it."""
        self._lock = threading.Lock()
        self._floor = FLOOR if budget is None else min(FLOOR, budget)
        self._rate = math.inf if budget is None else budget
        self._full = self._floor if budget is None else budget
        """What a climb is measured by: the budget, or the best rate that was observed."""
        self._level = self.burst
        self._filled_at = clock()
        self._slowed_at = -math.inf
        self._taken: deque[tuple[float, float]] = deque()
        self._taken_sum = 0.0

    @property
    def rate(self) -> float:
        """Units a second granted now; infinite: nobody is held up."""
        return self._rate

    @property
    def burst(self) -> float:
        """Units granted at once after a pause."""
        return self._batch if math.isinf(self._rate) else max(self._batch, self._rate * BURST_SECONDS)

    def take(self, units: float) -> None:
        """Wait until `units` may be spent.

        Raises:
            ValueError: they are more than one batch, which might never be granted.
        """
        if units > self._batch:
            raise ValueError(f"at most {self._batch} units can be asked for at once, got {units}")
        with self._turn:
            while (wait := self._grant(units)) > 0:
                self._sleep(wait)

    def succeeded(self, units: float) -> None:
        """The store took `units`."""
        with self._lock:
            observed = self._observe(self._clock(), units)
            if self._budget is None:
                self._full = max(self._full, observed)
            # A rate far above what is asked for is no limit: would it climb on, half of it would be no limit either.
            if self._rate <= 2 * max(observed, self._floor):
                self._fill()
                # At this rate the units stand for units / rate seconds, however many threads sent them.
                self._rate += self._full / CLIMB_SECONDS * units / self._rate
                if self._budget is not None:
                    self._rate = min(self._rate, self._budget)

    def throttled(self, share: float = 1) -> None:
        """The store asked to slow down: it refused this share, above 0 and up to 1, of what it was given.

        A refused whole halves the rate. A part takes less away, or one busy partition among hundreds would bring all
        the others down to the floor.
        """
        with self._lock:
            now = self._clock()
            observed = self._observe(now, 0)
            watched = now - self._taken[0][0]
            # Before a second has been watched, what the store takes in one is not known.
            if now - self._slowed_at < HOLD_SECONDS or (math.isinf(self._rate) and watched < WATCH_SECONDS):
                return
            self._slowed_at = now
            self._fill()
            rate = observed / watched if math.isinf(self._rate) else self._rate
            self._rate = max(rate * (1 - share / 2), self._floor)
            self._level = min(self._level, self.burst)

    def _grant(self, units: float) -> float:
        """Grants the units and returns 0, or returns how long to wait before asking again."""
        with self._lock:
            if math.isinf(self._rate):
                return 0
            self._fill()
            missing = units - self._level
            if missing <= 0:
                self._level -= units
                return 0
            return min(max(missing / self._rate, _SHORTEST_SLEEP), _LONGEST_SLEEP)

    def _fill(self) -> None:
        now = self._clock()
        if not math.isinf(self._rate):
            self._level = min(self._level + (now - self._filled_at) * self._rate, self.burst)
        self._filled_at = now

    def _observe(self, now: float, units: float) -> float:
        """Count the units; returns how many the store took in the last second."""
        self._taken.append((now, units))
        self._taken_sum += units
        while now - self._taken[0][0] > 1:
            self._taken_sum -= self._taken.popleft()[1]
        return self._taken_sum
