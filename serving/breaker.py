"""A circuit breaker: calls to a dependency that keeps failing are not made for a while.

The pattern is Michael Nygard's (Release It!, 2nd edition, 2018, "Circuit Breaker").
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import IntEnum
from typing import ParamSpec, TypeVar

from stores.base import StoreUnavailable

WINDOW_SECONDS = 10.0
"""Failures in a row that are further apart than this, from first to last, open nothing."""

P = ParamSpec("P")
T = TypeVar("T")


class State(IntEnum):
    """The numbers are those of the metric."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class CircuitOpen(StoreUnavailable):
    """The call was not made: too many before it failed."""


class Breaker:
    """Guards the calls to one dependency of one process. Thread-safe.

    closed: every call is made. After `failures` that failed in a row, within ten seconds, it opens.
    open: no call is made, each raises CircuitOpen at once. After `open_seconds` it is half open.
    half open: one call is let through as a probe, the others are not made. It closes when the probe works, and opens
    for as long again when it fails.

    A call that works takes no lock and calls no clock, as long as none before it failed.
    """

    def __init__(
        self,
        failures: int,
        open_seconds: float,
        clock: Callable[[], float],
        on_change: Callable[[State], None] = lambda state: None,
    ) -> None:
        """clock: seconds, monotonic. on_change: told each new state, under the breaker's lock."""
        self._failures = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._failed: list[float] = []
        """When calls failed since the last one that worked."""
        self._until = 0.0

    @property
    def state(self) -> State:
        return self._state

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns or raises; whatever it raises is a failure.

        Raises:
            CircuitOpen: it was not called.
        """
        probing = self._state is not State.CLOSED and self._claim_probe()
        try:
            result = function(*args, **kwargs)
        except BaseException:
            self._note_failure(probing)
            raise
        if probing or self._failed:
            self._note_success(probing)
        return result

    def _claim_probe(self) -> bool:
        """Whether the call is the probe; False where the breaker has closed meanwhile."""
        with self._lock:
            if self._state is State.CLOSED:
                return False
            if self._state is State.HALF_OPEN or self._clock() < self._until:
                raise CircuitOpen("it failed again and again, so it is not asked for a moment")
            self._to(State.HALF_OPEN)
            return True

    def _note_failure(self, probing: bool) -> None:
        with self._lock:
            now = self._clock()
            if self._state is State.CLOSED:
                self._failed = [*(at for at in self._failed if now - at <= WINDOW_SECONDS), now]
                if len(self._failed) < self._failures:
                    return
            elif not probing:
                return  # it was on its way when the breaker opened, which says no more than is known
            self._failed.clear()
            self._until = now + self._open_seconds
            self._to(State.OPEN)

    def _note_success(self, probing: bool) -> None:
        with self._lock:
            self._failed.clear()
            if probing:
                self._to(State.CLOSED)

    def _to(self, state: State) -> None:
        self._state = state
        self._on_change(state)
