"""Clients that must not cross a fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_making = threading.Lock()
"""Held while any client of this process is made or ended: rare, and it makes one place to mend after a fork."""


class PerProcess(Generic[T]):
    """Makes its client on first use, and anew in a forked child, whose parent's connections it leaves alone.

    Thread-safe. A client of the parent is dropped in the child without being closed: closing it would end
    conversations that the parent still has.
    """

    def __init__(self, make: Callable[[], T], end: Callable[[T], None]) -> None:
        self._make = make
        self._end = end
        self._held: tuple[int, T] | None = None

    def get(self) -> T:
        """The client of this process; raises what making it raises."""
        held = self._held
        if held is not None and held[0] == os.getpid():
            return held[1]
        with _making:
            held = self._held
            if held is None or held[0] != os.getpid():
                held = self._held = (os.getpid(), self._make())
            return held[1]

    def close(self) -> None:
        """End this process's client, if there is one. The next `get` makes another."""
        with _making:
            held, self._held = self._held, None
            if held is not None and held[0] == os.getpid():
                self._end(held[1])


def _new_lock() -> None:
    global _making  # noqa: PLW0603  # a thread of the parent may have held the old one
    _making = threading.Lock()


os.register_at_fork(after_in_child=_new_lock)
