"""The barrier list: users who were forgotten, whom nothing may write, log or answer for as a known user any more.

It holds keyed hashes (HMAC-SHA256, the first eight bytes), never an id. What was forgotten since the newest artefacts
is in the control record, which every writer and every worker reads; all of it is in the artefacts and in the table
`forgotten`.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from conf.errors import PermanentError

KEY_BYTES = 32
HASH_BYTES = 8
"""Among 250 million users and a million who were forgotten, one in 74,000 lists would bar somebody who was not."""
MAX_BARRED = 1_000
"""Users whom the control record can bar: every worker reads it every second. The next publications take them over."""


def hash_of(key: bytes, user_id: str) -> int:
    """What stands for a user on the list: 64 bits."""
    digest = hmac.digest(key, user_id.encode(errors="surrogatepass"), "sha256")
    return int.from_bytes(digest[:HASH_BYTES], "big")


@dataclass(frozen=True)
class Barrier:
    """The control record's part of the list."""

    key: str
    """Of the hashes, in hexadecimal digits; the same for as long as the list lives."""
    moment: int = 0
    """Epoch milliseconds: the latest that was ever given to an entry."""
    entries: tuple[tuple[int, int], ...] = ()
    """(moment, hash) of users whom some kept artefact does not have yet, by their moments, which differ."""

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Barrier:
        """From what `as_fields` makes of one."""
        entries = tuple((int(moment), int(digits, 16)) for moment, digits in fields["entries"])
        return cls(str(fields["key"]), int(fields["moment"]), entries)

    def as_fields(self) -> dict[str, Any]:
        """For JSON, whose readers may not have whole numbers of 64 bits."""
        entries = [(moment, f"{number:016x}") for moment, number in self.entries]
        return {"key": self.key, "moment": self.moment, "entries": entries}

    @cached_property
    def secret(self) -> bytes:
        return bytes.fromhex(self.key)

    @cached_property
    def hashes(self) -> frozenset[int]:
        return frozenset(number for _, number in self.entries)

    def hash_of(self, user_id: str) -> int:
        return hash_of(self.secret, user_id)

    def bars(self, user_id: str) -> bool:
        """Whether the user is on this part of the list."""
        return bool(self.entries) and self.hash_of(user_id) in self.hashes

    def with_users(self, user_ids: Iterable[str], now: int) -> Barrier:
        """With these users at the end; those who are on it already get a new moment, so that everybody looks again.

        now: epoch milliseconds.

        Raises:
            PermanentError: there would be more than 1,000.
        """
        added = {self.hash_of(user_id) for user_id in user_ids}
        kept = tuple(entry for entry in self.entries if entry[1] not in added)
        if len(kept) + len(added) > MAX_BARRED:
            raise PermanentError(
                f"{len(kept) + len(added):,} users would be on the barrier list of the control record, which holds "
                f"{MAX_BARRED:,}: publish some hours first, whose artefacts take those over who are on it, or forget "
                "fewer at once"
            )
        first = max(self.moment + 1, now)
        entries = (*kept, *((first + place, number) for place, number in enumerate(sorted(added))))
        return replace(self, entries=entries, moment=first + max(len(added) - 1, 0))

    def carried(self, upto: int) -> Barrier:
        """Without the entries up to a moment, which all artefacts in use have."""
        return replace(self, entries=tuple(entry for entry in self.entries if entry[0] > upto))
