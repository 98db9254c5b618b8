"""Circuit breakers that tell of themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable

from conf.serving_settings import Serving
from serving.breaker import Breaker, State
from serving.metrics import Metrics

log = logging.getLogger(__name__)


def guard(what: str, settings: Serving, metrics: Metrics, clock: Callable[[], float]) -> Breaker:
    """A breaker by the settings, whose state is in the metrics under the name `what`.

    clock: seconds, monotonic.
    """
    state = metrics.breaker_state.labels(what)
    state.set(State.CLOSED)

    def changed(to: State) -> None:
        state.set(to)
        metrics.breaker_changes.labels(what, to.name.lower()).inc()
        if to is State.OPEN:
            log.error("calls of %s keep failing: none is made for %g s", what, settings.breaker_seconds)

    return Breaker(settings.breaker_failures, settings.breaker_seconds, clock, changed)
