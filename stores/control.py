"""The control record: the one small thing that decides which lists readers see, and how it may change.

Every change is a new record with the next version, which a store puts in place of the old one by compare-and-set. So
each of these methods is a plain function from one record to the next, and whoever loses a race has changed nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from conf.errors import DataError, PermanentError
from stores.barrier import Barrier
from stores.generation import Generation
from stores.rollout import Rollout

KEPT_GENERATIONS = 3
"""Generations that the record describes, and so can go back to: as many as a ring has rows."""
KEPT_NUMBERS = 256
"""Numbers of aborted and of bad attempts that the record remembers. What an attempt wrote is gone from the rings once
a later plan has taken it over; beyond that a number matters only for a writer that woke up after 256 more attempts."""
MAX_GROWN = 256
"""Generations with a larger catalogue that the record remembers. Users whose list is older than all of them get no item
that came after it until they are scored again."""
MAX_TAKEDOWNS = 1_000
"""Items that the record can hold taken down. Every worker reads it every second: what stays away for good belongs into
the catalogue, as an inactive item."""
MAX_ITEM_ID_BYTES = 200
MAX_TRENDING = 200
"""Items that the record can hold as trending."""

UNDER_WAY = ("planned", "loading", "loaded", "verified")
"""States of an attempt before its switch, in their order. After it: current, retired, bad; aborted without it."""
MERGED = ("current", "retired", "bad")
"""States of attempts that were live at some time."""


@dataclass(frozen=True)
class Trending:
    """What trends, as counted between the hours."""

    item_no: tuple[int, ...]
    """Best first; at most MAX_TRENDING."""
    as_of: str
    """UTC, ISO 8601. A generation made later has a newer list of its own."""


@dataclass(frozen=True)
class Control:
    """The one record that says what is live. `Control.first(store_id)` begins a new store."""

    version: int
    """Rises by one with every change."""
    store_id: str
    current: int
    """Number of the generation that readers see; 0: none yet."""
    attempts: int
    """Highest attempt number ever given."""
    lease: int | None
    """The attempt that may write now."""
    live: tuple[Generation, ...]
    """The current generation, then the good ones before it that the ring can still hold, newest first."""
    aborted: tuple[int, ...] = ()
    """Attempts whose rows readers must pass over because they were never switched to."""
    bad: tuple[int, ...] = ()
    """Generations that were live and must not be again: marked as bad, or rolled back from."""
    grown: tuple[tuple[int, int], ...] = ()
    """Generations whose catalogue had more slots than any before, each with their number, oldest first."""
    takedowns: tuple[str, ...] = ()
    """item_ids, sorted, that no answer may hold, whatever the catalogue says of them. Every change keeps them."""
    rollout: Rollout | None = None
    """Of a challenger; None: everybody is served the champion."""
    trending: Trending | None = None
    """None: nobody counts between the hours."""
    barrier: Barrier | None = None
    """Users who were forgotten, as far as not all artefacts of `live` have them; None: nobody ever was."""

    @classmethod
    def first(cls, store_id: str, key: str | None = None) -> Control:
        """key: of the barrier list, where an earlier store had one."""
        barrier = None if key is None else Barrier(key)
        return cls(version=1, store_id=store_id, current=0, attempts=0, lease=None, live=(), barrier=barrier)

    def generation(self) -> Generation | None:
        """The current generation; None before the first."""
        return next((generation for generation in self.live if generation.number == self.current), None)

    def shows(self, generation: int) -> bool:
        """Whether readers may see rows of this generation."""
        return generation <= self.current and generation not in self.aborted and generation not in self.bad

    def state_of(self, number: int, noted: str) -> str:
        """The state of an attempt on this store: the one last `noted` of it, corrected by this record."""
        if number in self.bad:
            # One that died between its switch and the merge was never in published, so there it was never live.
            return "aborted" if noted in (*UNDER_WAY, "aborted") else "bad"
        if number == self.current:
            return "current"
        if noted in UNDER_WAY:
            return noted if number == self.lease else "aborted"
        return "retired" if noted == "current" else noted

    def begun(self, attempt: int) -> Control:
        """An attempt takes the lease. One that still holds it is aborted: it can neither write nor switch any more.

        Raises:
            ValueError: the number was given before.
        """
        if attempt <= self.attempts:
            raise ValueError(f"attempt {attempt} is not later than {self.attempts}")
        return replace(self.given_up(), attempts=attempt, lease=attempt)

    def given_up(self) -> Control:
        """Nobody holds the lease; whoever held it is aborted."""
        aborted = self.aborted if self.lease is None else _kept(self.aborted, self.lease)
        return replace(self, version=self.version + 1, lease=None, aborted=aborted)

    def switched(self, made: Generation) -> Control:
        """Readers see `made`, and the lease is free.

        Raises:
            ValueError: its attempt does not hold the lease.
        """
        if made.number != self.lease:
            raise ValueError(f"generation {made.number} does not hold the lease, {self.lease} does")
        live = (made, *self.live)[:KEPT_GENERATIONS]
        grown = self.grown
        if made.slots > (grown[-1][1] if grown else 0):
            grown = (*grown, (made.number, made.slots))[-MAX_GROWN:]
        rollout = self.rollout
        if rollout is not None and rollout.model_id == made.model_id:
            rollout = None  # the challenger is the champion now
        barrier = self.barrier
        if barrier is not None:
            # Whichever of them is gone back to has an artefact that bars them.
            barrier = barrier.carried(min(generation.barred for generation in live))
        return replace(
            self,
            version=self.version + 1,
            lease=None,
            current=made.number,
            live=live,
            grown=grown,
            rollout=rollout,
            barrier=barrier,
        )

    def slots_at(self, generation: int) -> int | None:
        """Slots of the catalogue that the lists of a generation were made from; None: nothing is known of it any more.

        item_nos are never reused, so items from this number on are none that those lists could have had.
        """
        return next((slots for number, slots in reversed(self.grown) if number <= generation), None)

    def rolled_back(self, to: int | None = None) -> Control:
        """Readers see generation `to`; None: the newest good one before the current.

        All later ones are bad from then on, and a load that is under way is aborted: it was planned on top of them.

        Raises:
            PermanentError: there is no such generation to go back to.
        """
        before = [generation.number for generation in self.live if generation.number < self.current]
        target = (before[0] if before else None) if to is None else to
        if target is None:
            raise PermanentError(
                f"there is no generation before {self.current} to go back to"
                if self.current
                else "nothing has been published yet, so there is nothing to go back to"
            )
        if target not in before:
            choice = f"there are {', '.join(map(str, before))}" if before else "there is none"
            why = "is bad" if target in self.bad else "is the current one" if target == self.current else "is not kept"
            raise PermanentError(f"generation {target} {why}; of those before the current one, {choice}")
        later = [generation.number for generation in self.live if generation.number > target]
        live = tuple(generation for generation in self.live if generation.number <= target)
        return replace(self.given_up(), current=target, live=live, bad=_kept(self.bad, *later))

    def without(self, bad: int) -> Control:
        """Readers never see generation `bad` again; where it is the current one they go back to the one before.

        Raises:
            PermanentError: it is unknown, bad already, or the only one there is.
        """
        if bad in self.bad:
            raise PermanentError(f"generation {bad} is marked as bad already")
        if bad == self.current and self.current:
            return self.rolled_back()
        if bad in self.aborted or bad == self.lease or not 0 < bad < self.current:
            raise PermanentError(f"generation {bad} was never switched to, so no reader sees it")
        live = tuple(generation for generation in self.live if generation.number != bad)
        return replace(self, version=self.version + 1, live=live, bad=_kept(self.bad, bad))

    def with_takedowns(self, item_ids: Iterable[str]) -> Control:
        """No answer holds these items any more. Items that no catalogue knows yet are fine.

        Raises:
            PermanentError: one of them is no item_id, or there would be more than 1,000.
        """
        wanted = set(item_ids)
        for item_id in wanted:
            if not 0 < len(item_id.encode(errors="replace")) <= MAX_ITEM_ID_BYTES:
                raise PermanentError(f"{item_id[:40]!r} is no item id: it has 1 to {MAX_ITEM_ID_BYTES} bytes")
        return self._taking_down(wanted.union(self.takedowns))

    def without_takedowns(self, item_ids: Iterable[str]) -> Control:
        """These items may be shown again, as far as the catalogue allows; those that were not taken down stay so."""
        return self._taking_down(set(self.takedowns).difference(item_ids))

    def _taking_down(self, item_ids: set[str]) -> Control:
        if len(item_ids) > MAX_TAKEDOWNS:
            raise PermanentError(
                f"{len(item_ids):,} items would be taken down and the record holds {MAX_TAKEDOWNS:,}: make those that "
                "stay away for good inactive in the catalogue, and take them out of here with --undo"
            )
        return replace(self, version=self.version + 1, takedowns=tuple(sorted(item_ids)))

    def with_forgotten(self, user_ids: Iterable[str], now: int, new_key: str) -> Control:
        """Nothing is written, kept or answered for these users any more; see `Barrier.with_users`, which raises.

        now: epoch milliseconds. new_key: of the hashes, where this is the first time.
        """
        barrier = (self.barrier or Barrier(new_key)).with_users(user_ids, now)
        return replace(self, version=self.version + 1, barrier=barrier)

    def bars(self, user_id: str) -> bool:
        """Whether this record itself has the user on its barrier list."""
        return self.barrier is not None and self.barrier.bars(user_id)

    def with_rollout(self, rollout: Rollout | None) -> Control:
        """Another share of users is served the challenger, or none."""
        return replace(self, version=self.version + 1, rollout=rollout)

    def with_trending(self, trending: Trending) -> Control:
        """Another list of what trends; the record as it is where that holds the same items.

        Raises:
            ValueError: there are more than MAX_TRENDING.
        """
        if len(trending.item_no) > MAX_TRENDING:
            raise ValueError(f"{len(trending.item_no)} items trend, and the record holds {MAX_TRENDING}")
        if self.trending is not None and self.trending.item_no == trending.item_no:
            return self
        return replace(self, version=self.version + 1, trending=trending)

    def differs_by_operators_only(self, other: Control) -> bool:
        """Whether nothing lies between the two records but items taken down or put back, steps of a rollout, users who
        were forgotten, and what trends."""
        names = ("version", "takedowns", "rollout", "barrier", "trending")
        return replace(self, **{name: getattr(other, name) for name in names}) == other

    def to_json(self) -> str:
        fields = asdict(self) | {"barrier": self.barrier and self.barrier.as_fields()}
        # What is empty is left out, as it was in records from before there was such a thing: stores compare the text.
        for name in ("takedowns", "grown", "rollout", "barrier", "trending"):
            if not fields[name]:
                del fields[name]
        for generation in fields["live"]:
            for name in ("slots", "challenger", "model_id", "barred"):
                if not generation[name]:
                    del generation[name]
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Control:
        """Read what `to_json` wrote.

        Raises:
            DataError: the text is something else.
        """
        try:
            fields = json.loads(text)
            fields["live"] = tuple(Generation.of(generation) for generation in fields["live"])
            fields["rollout"] = Rollout.of(fields["rollout"]) if fields.get("rollout") else None
            trending = fields.get("trending")
            fields["trending"] = Trending(tuple(trending["item_no"]), trending["as_of"]) if trending else None
            fields["barrier"] = Barrier.of(fields["barrier"]) if fields.get("barrier") else None
            for name in ("aborted", "bad", "takedowns"):
                fields[name] = tuple(fields.get(name, ()))
            fields["grown"] = tuple((number, slots) for number, slots in fields.get("grown", ()))
            return cls(**fields)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"the control record cannot be read: {error}") from error


def _kept(numbers: tuple[int, ...], *more: int) -> tuple[int, ...]:
    return tuple(sorted({*numbers, *more}))[-KEPT_NUMBERS:]
