"""A new model on its way to all users: who is served it, decided by one part of the control record.

Users are divided into 10,000 buckets by a hash of their id. A step serves the first so many of them, so a later step
serves everybody that an earlier one did, and a user stays where they are until the next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from conf.errors import PermanentError

BUCKETS = 10_000
RUNNING, HELD, ABORTED = "running", "held", "aborted"
_HASHES = 1 << 64


def share_of(salt: str, text: str) -> float:
    """A number in [0, 1), the same for the same salt and text, evenly spread over texts."""
    return int.from_bytes(blake2b(f"{salt}:{text}".encode(), digest_size=8).digest()) / _HASHES


def bucket(salt: str, user_id: str) -> int:
    """The bucket of a user, 0 to 9,999."""
    return int(share_of(salt, user_id) * BUCKETS)


@dataclass(frozen=True)
class Challenger:
    """What the challenger's lists of a generation were made with."""

    model_id: str
    model_version: str
    artefact_id: str
    since: int
    """The first generation with lists by it. Older rows of the challenger's ring are another model's."""


@dataclass(frozen=True)
class Rollout:
    """How far a challenger has come. Step 0 is its shadow: lists are made for the first step's users, and not served.

    steps: percent of users that each further step serves, rising to 100; since: when the present step began (UTC, ISO
    8601); note: why it is as it is, in words.
    """

    model_id: str
    model_version: str
    salt: str
    steps: tuple[int, ...]
    step: int
    state: str
    since: str
    note: str = ""

    @property
    def percent(self) -> int:
        """Of users, served by the challenger."""
        return 0 if self.step == 0 or self.state == ABORTED else self.steps[self.step - 1]

    @property
    def prepared(self) -> int:
        """Percent of users for whom lists are made."""
        return 0 if self.state == ABORTED else self.steps[max(self.step, 1) - 1]

    def serves(self, user_id: str) -> bool:
        percent = self.percent
        return percent > 0 and bucket(self.salt, user_id) < percent * BUCKETS // 100

    def prepares(self, user_id: str) -> bool:
        """Whether lists are made for the user."""
        return bucket(self.salt, user_id) < self.prepared * BUCKETS // 100

    @property
    def complete(self) -> bool:
        """Whether it serves everybody, so that there is no further step."""
        return self.step == len(self.steps)

    def advanced(self, since: str, note: str) -> Rollout:
        """One step further.

        Raises:
            PermanentError: it was ended, or serves everybody already.
        """
        self._must_go_on()
        if self.complete:
            raise PermanentError(f"{self.model_version} serves everybody already")
        return replace(self, step=self.step + 1, state=RUNNING, since=since, note=note)

    def held(self, note: str) -> Rollout:
        """It stays at its step until it is advanced by hand. Raises PermanentError where it was ended."""
        self._must_go_on()
        return replace(self, state=HELD, note=note)

    def aborted(self, note: str) -> Rollout:
        """Nobody is served it any more. Raises PermanentError where it was ended before."""
        self._must_go_on()
        return replace(self, state=ABORTED, note=note)

    def _must_go_on(self) -> None:
        if self.state == ABORTED:
            raise PermanentError(f"the rollout of {self.model_version} has ended: {self.note}")

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Rollout:
        """From what `asdict` makes of one."""
        return cls(**{**fields, "steps": tuple(fields["steps"])})
