"""What the service counts. One object an app; under gunicorn the workers' numbers are added up when they are read."""

from __future__ import annotations

import os
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.25, 1.0)


class Metrics:
    """Counters of one app. docs/api.md lists every one."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("topshelf_requests", "Answers", ["route", "status"], registry=self._registry)
        self.seconds = Histogram(
            "topshelf_request_seconds", "Time to answer", ["route"], buckets=_BUCKETS, registry=self._registry
        )
        self.refused = Counter(
            "topshelf_refused", "Requests refused by the rate limit", ["scope"], registry=self._registry
        )
        self.key_failures = Counter("topshelf_key_failures", "Failed reads of the JWKS file", registry=self._registry)
        self.lookups = Counter(
            "topshelf_lookups",
            "Look-ups of lists and sessions: found, absent, failed, late, open",
            ["what", "outcome"],
            registry=self._registry,
        )
        self.pages = Counter(
            "topshelf_pages", "Pages by the tier that filled them", ["source"], registry=self._registry
        )
        self.remembered_pages = Counter(
            "topshelf_remembered_pages", "Home pages that would have been made just so again", registry=self._registry
        )
        self.short_pages = Counter("topshelf_short_pages", "Pages shorter than asked for", registry=self._registry)
        self.removed = Counter(
            "topshelf_removed_candidates",
            "Candidates of the first tier that a rule removed",
            ["rule"],
            registry=self._registry,
        )
        self.depleted_pages = Counter(
            "topshelf_depleted_pages",
            "Pages whose first tier had enough items before the rules and too few after them",
            registry=self._registry,
        )
        self.corrupt_rows = Counter("topshelf_corrupt_rows", "Stored rows passed over", registry=self._registry)
        self.events = Counter("topshelf_events", "Events taken", ["event_type"], registry=self._registry)
        self.events_dropped = Counter(
            "topshelf_events_of_forgotten", "Events not kept, for their user was forgotten", registry=self._registry
        )
        self.unreflected = Counter(
            "topshelf_events_unreflected", "Events logged that the session store did not take", registry=self._registry
        )
        self.follow_failures = Counter(
            "topshelf_follow_failures", "Failed looks for a new generation", registry=self._registry
        )
        self.search_failures = Counter(
            "topshelf_search_failures", "Search indexes that could not be opened or searched", registry=self._registry
        )
        self.shown_dropped = Counter(
            "topshelf_shown_dropped", "Pages missing from the log of what was shown", registry=self._registry
        )
        self.generation = Gauge(
            "topshelf_generation",
            "Generation served; the lowest of all workers",
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self.following = Gauge(
            "topshelf_following",
            "1 while the last look for a new generation worked; the lowest of all workers",
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self.breaker_state = Gauge(
            "topshelf_breaker_state",
            "Circuit breakers (docs/serving.md): 0 closed, 1 half open, 2 open; the highest of all workers",
            ["what"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self.breaker_changes = Counter(
            "topshelf_breaker_changes", "Changes of a circuit breaker's state", ["what", "to"], registry=self._registry
        )

    @lru_cache(maxsize=1024)  # noqa: B019  # an app has one Metrics for its life, and few routes and statuses
    def _answers(self, route: str, status: int) -> tuple[Counter, Histogram]:
        return self.requests.labels(route, status), self.seconds.labels(route)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer. The label look-ups of the library cost more than the counting, so they are kept."""
        count, time = self._answers(route, status)
        count.inc()
        time.observe(seconds)

    def exposition(self) -> bytes:
        """The numbers of all workers in the Prometheus text format."""
        if MULTIPROCESS_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        merged = CollectorRegistry()
        MultiProcessCollector(merged)  # type: ignore[no-untyped-call]  # the library has no annotation here
        return generate_latest(merged)
