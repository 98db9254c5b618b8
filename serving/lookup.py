"""What is known of a user at the time of a request: their stored list and their session, in three ways unknown."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from conf.errors import TopshelfError
from conf.serving_settings import Serving
from conf.vocabulary import EVERYWHERE
from serving.breaker import CircuitOpen
from serving.cache import RingCache
from serving.guarding import guard
from serving.metrics import Metrics
from serving.snapshot import Snapshot
from stores.base import CHALLENGER, CHAMPION, VARIANTS, Store, StoreTimeout, choose, newest
from stores.records import ListBody
from stores.sessions.base import HIDING_EVENTS, SessionEvent, Sessions

log = logging.getLogger(__name__)


class Outcome(StrEnum):
    FOUND = "found"
    ABSENT = "absent"
    FAILED = "failed"
    LATE = "late"
    OPEN = "open"
    """Not asked: too many look-ups before had failed or were late."""


@dataclass(frozen=True)
class Viewer:
    """What filters know of a user. The default is the strictest: nothing known."""

    maturity_limit: int = 0
    region_bit: np.uint64 = EVERYWHERE
    segment: str | None = None
    hidden: tuple[int, ...] = ()
    """item_nos watched, rated or refused, as far as session and list know."""


@dataclass(frozen=True, eq=False)
class Known:
    """A user's list, if there is one to be had, and the profile that filters it."""

    viewer: Viewer
    body: ListBody | None
    outcome: Outcome
    """Of the look-up of the list."""
    watermark: int = 0
    """Epoch seconds: every event logged before is in the list."""
    generation: int = 0
    """That wrote the list."""
    events: tuple[SessionEvent, ...] = ()
    """Of the session, newest first."""
    age_seconds: float | None = None
    """Since the list was looked up, where it is a remembered one because the store did not answer; else None."""
    variant: str = CHAMPION
    """Of the list, and so of the artefact that the page is made from: `Snapshot.of`."""


class Looked(NamedTuple):
    """What the stores said about a user."""

    ring: Mapping[int, bytes]
    """Empty where there is none, or none to be had."""
    age_seconds: float | None
    """As in `Known`."""
    outcome: Outcome
    """FOUND: the store has answered."""
    events: tuple[SessionEvent, ...]
    """As in `Known`."""
    variant: str
    """As in `Known`."""


Ring = tuple[Mapping[int, bytes] | None, float | None, Outcome]
"""What there is of a ring, its age where it is remembered, and the outcome; FOUND: the store has answered."""
STRANGER = Known(Viewer(), None, Outcome.ABSENT)
MAKING_SECONDS = 0.01
"""What is left of an answer's time for everything but its look-ups."""


class Lookup:
    """Looks users up, within the time that the settings give. Thread-safe.

    The clients of the stores keep the time of each look-up. A store that goes on failing is not asked for a moment
    (`serving.breaker`), and rings that it gave before stand in for it (`serving.cache`).
    """

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        settings: Serving,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """clock: seconds, monotonic."""
        self._store = store
        self._sessions = sessions
        self._metrics = metrics
        self._clock = clock
        self._for_lookups = settings.answer_ms / 1000 - MAKING_SECONDS
        self._for_session = settings.session_ms / 1000
        self._cache = RingCache(settings.cache_users, settings.cache_seconds, clock)
        self._store_breaker = guard("list", settings, metrics, clock)
        self._session_breaker = guard("session", settings, metrics, clock)
        self._count = {
            (what, outcome): metrics.lookups.labels(what, outcome.value).inc
            for what in ("list", "session")
            for outcome in Outcome
        }

    def know(self, user_id: str, snapshot: Snapshot) -> Known:
        """Look a user up. Never raises: what cannot be read is unknown, and counted as such."""
        return self.known(self.look(user_id, snapshot), snapshot)

    def look(self, user_id: str, snapshot: Snapshot) -> Looked:
        """Ask the stores about a user. Never raises, as `know`. One who was forgotten is a stranger to them."""
        if snapshot.bars(user_id):
            return Looked({}, None, Outcome.ABSENT, (), CHAMPION)
        started = self._clock()
        variant, (ring, age, outcome) = self._assigned(user_id, snapshot)
        # A store that answers, however slowly, costs no session: an item that was just watched must not come back.
        in_time = outcome is Outcome.FOUND or self._clock() - started + self._for_session <= self._for_lookups
        return Looked(ring or {}, age, outcome, self._events(user_id, in_time), variant)

    def count(self, outcome: Outcome) -> None:
        """Count a look-up of a list."""
        self._count["list", outcome]()

    def known(self, looked: Looked, snapshot: Snapshot) -> Known:
        """What that says, read with a snapshot's eyes."""
        ring, age, outcome, events, variant = looked
        snapshot = snapshot.of(variant)
        corrupt = self._metrics.corrupt_rows.inc
        stored = choose(ring, snapshot.control, lambda _: corrupt(), snapshot.since) if ring else None
        if outcome is Outcome.FOUND and stored is None:
            outcome = Outcome.ABSENT
        self.count(outcome)
        hidden = tuple(event.item_no for event in events if event.event_type in HIDING_EVENTS)
        if stored is None:
            return Known(Viewer(hidden=hidden), None, outcome, events=events, variant=variant)
        body = stored.body
        artefact = snapshot.artefact
        viewer = Viewer(
            maturity_limit=body.maturity_limit,
            region_bit=artefact.region_bits(body.region),
            segment=artefact.segments[body.segment] if body.segment < len(artefact.segments) else None,
            hidden=hidden + body.anchors,
        )
        return Known(viewer, body, outcome, stored.watermark, stored.generation, events, age, variant)

    def _assigned(self, user_id: str, snapshot: Snapshot) -> tuple[str, Ring]:
        """The ring of the user's variant; of a challenger without a list of theirs, the champion's."""
        if snapshot.gives_challenger(user_id):
            found = self._ring(user_id, CHALLENGER)
            if found[0] and newest(found[0], snapshot.control, since=snapshot.of(CHALLENGER).since):
                return CHALLENGER, found
            if found[2] is not Outcome.FOUND:  # there is no time to ask a store again that did not answer
                return CHAMPION, self._remembered(user_id, CHAMPION, found[2])
        return CHAMPION, self._ring(user_id, CHAMPION)

    def _ring(self, user_id: str, variant: str) -> Ring:
        """The ring from the store, or else from the cache."""
        try:
            ring = self._store_breaker.call(self._store.ring, user_id, VARIANTS.index(variant))
        except Exception as error:  # whatever is wrong with a store, its users get an answer
            return self._remembered(user_id, variant, _outcome(error, "a list"))
        self._cache.put((user_id, variant), ring)
        return ring, None, Outcome.FOUND

    def _remembered(self, user_id: str, variant: str, outcome: Outcome) -> Ring:
        kept = self._cache.get((user_id, variant))
        return (None, None, outcome) if kept is None else (*kept, outcome)

    def _events(self, user_id: str, in_time: bool) -> tuple[SessionEvent, ...]:
        events: tuple[SessionEvent, ...] = ()
        outcome = Outcome.LATE
        if in_time:
            try:
                events = self._session_breaker.call(self._sessions.read, user_id)
                outcome = Outcome.FOUND if events else Outcome.ABSENT
            except Exception as error:  # as above
                outcome = _outcome(error, "a session")
        self._count["session", outcome]()
        return events


def _outcome(error: Exception, what: str) -> Outcome:
    if isinstance(error, CircuitOpen):
        return Outcome.OPEN
    if isinstance(error, StoreTimeout):
        return Outcome.LATE
    if isinstance(error, TopshelfError):
        log.warning("the look-up of %s failed: %s", what, error)
    else:
        log.error("the look-up of %s failed", what, exc_info=error)
    return Outcome.FAILED
