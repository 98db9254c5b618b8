"""The rings that this process looked up last, for the time when the store does not answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Key = tuple[str, str]
"""user_id and variant."""


@dataclass(frozen=True, slots=True)
class Kept:
    ring: Mapping[int, bytes]
    """As the store gave it."""
    looked_up: float
    """When, by the cache's clock."""


class RingCache:
    """The newest `size` users' rings, each for `seconds` after its look-up. Thread-safe without a lock.

    Whole rings are kept, not the list that was chosen: `stores.base.choose` decides anew at each use, so that a row
    whose generation the control record does not show any more is never taken, and going back finds the row before it.

    Memory: a ring of three full rows takes 3.6 KB here, so 10,000 users take up to 36 MB in each worker.
    """

    def __init__(self, size: int, seconds: float, clock: Callable[[], float]) -> None:
        """clock: seconds, monotonic."""
        self._size = size
        self._seconds = seconds
        self._clock = clock
        # Each of its methods is one step under the interpreter's lock.
        self._kept: OrderedDict[Key, Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, key: Key, ring: Mapping[int, bytes]) -> None:
        """Remember what the store just said. An empty ring is forgotten: its user may have been erased."""
        if not ring:
            self._kept.pop(key, None)
            return
        self._kept.pop(key, None)  # so that it moves to the end
        self._kept[key] = Kept(ring, self._clock())
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def get(self, key: Key) -> tuple[Mapping[int, bytes], float] | None:
        """The user's ring and its age in seconds; None where there is none that is young enough."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        age = self._clock() - kept.looked_up
        if age > self._seconds:
            self._kept.pop(key, None)
            return None
        return kept.ring, age
