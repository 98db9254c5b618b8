"""Lists that are a function of the user and the hour, so that any answer at any time can be checked."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b

from conf.hours import Hour

FIRST = datetime(2026, 1, 10, tzinfo=UTC)
ITEMS = 8
"""Those that the artefact of tests/serving/conftest.py shows to anybody."""
NEWCOMERS, LATEST = 4, 12
"""One user in four joins only in one of the hours up to this."""


@dataclass(frozen=True)
class World:
    """In each hour a third of the users get another list: one of the 40,320 orders of eight items."""

    users: int
    seed: int = 17

    def everyone(self) -> list[str]:
        return [f"user{number}" for number in range(self.users)]

    def hour(self, number: int) -> Hour:
        return Hour(FIRST + timedelta(hours=number))

    def number(self, hour: str) -> int:
        """Of an hour as a control record has it."""
        return (Hour.parse(hour).start - FIRST) // timedelta(hours=1)

    def items(self, user: str, number: int) -> list[int] | None:
        """The user's list in an hour; None before the user joined."""
        return _items(self.seed, user, number)

    def lists(self, number: int) -> dict[str, list[int]]:
        found = ((user, self.items(user, number)) for user in self.everyone())
        return {user: items for user, items in found if items is not None}

    def changed(self, since: int | None, number: int) -> dict[str, list[int]]:
        """Lists of an hour that differ from those of the hour `since`; None: all of them."""
        lists = self.lists(number)
        if since is None:
            return lists
        return {user: items for user, items in lists.items() if items != self.items(user, since)}


def _draw(*parts: object) -> int:
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest())


@lru_cache(maxsize=100_000)
def _items(seed: int, user: str, number: int) -> list[int] | None:
    draw = _draw(seed, user)
    joined = 0 if draw % NEWCOMERS else draw // NEWCOMERS % LATEST
    if number < joined:
        return None
    last = next(hour for hour in range(number, -1, -1) if hour == joined or _draw(seed, user, hour) % 3 == 0)
    return random.Random(_draw(seed, user, last, "list")).sample(range(ITEMS), ITEMS)
