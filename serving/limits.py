"""How many requests one caller may send: a token bucket each, in this process."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from serving.problems import Problem

MAX_SUBJECTS = 1 << 16
"""Remembered at once, twice over; when more call within the time a bucket takes to fill, the oldest are forgiven."""


class RateLimit:
    """At most `burst` requests at once and `rate` a second in the long run, for each subject. Thread-safe.

    The generic cell rate algorithm (ITU-T I.371): one number a subject, the time at which its bucket is full again.
    A bucket is full `burst / rate` seconds after it was last drawn on, so who was not seen for that long need not be
    remembered: subjects are kept in two halves, and every `burst / rate` seconds the older half is dropped.

    ticks: seconds of a clock that never goes back.
    """

    def __init__(self, rate: float, burst: int, ticks: Callable[[], float]) -> None:
        self._cost = 1 / rate
        self._burst = burst
        self._span = burst / rate
        self._ticks = ticks
        self._lock = threading.Lock()
        self._full_at: dict[str, float] = {}
        self._before: dict[str, float] = {}
        self._turn = ticks() + self._span

    def take(self, subject: str, count: int = 1) -> float:
        """Draw `count` requests, at most a whole bucket: 0.0, or the seconds to wait, and then nothing is drawn."""
        now = self._ticks()
        with self._lock:
            if now >= self._turn or len(self._full_at) >= MAX_SUBJECTS:
                fresh = now >= self._turn + self._span
                self._before, self._full_at, self._turn = {} if fresh else self._full_at, {}, now + self._span
            full_at = self._full_at.get(subject) or self._before.get(subject, now)
            wanted = max(full_at, now) + self._cost * min(count, self._burst)
            wait = wanted - now - self._span
            # The bucket's own size in floating point must not refuse its last request.
            if wait > self._cost * 1e-6:
                return wait
            self._full_at[subject] = wanted
        return 0.0


def too_many_requests(wait: float, anonymous: bool = False) -> Problem:
    """429 for a caller who is to wait so many seconds. anonymous: there is no token, and a bucket for all of those."""
    seconds = max(1, math.ceil(wait))
    who = "There are too many requests without a token" if anonymous else "This token's subject sends too many requests"
    return Problem(429, "too-many-requests", f"{who}. Send it again in {seconds} s.", {"Retry-After": str(seconds)})
