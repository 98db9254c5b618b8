"""Loops over arrays as machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(function: Loop) -> Loop:
    """The function as numba compiles it at its first call, for whatever arrays it is given, kept for later processes.

    Sums are in the order in which they are written: the same arrays give the same bytes on any machine of one kind.
    """
    return _made(function, inlined=False)


def inlined(function: Loop) -> Loop:
    """As `compiled`, for what is called in inner loops: a call would cost more than what it does."""
    return _made(function, inlined=True)


def _made(function: Loop, inlined: bool) -> Loop:
    def make(cache: bool) -> Loop:
        how = numba.njit(cache=cache, nogil=True, error_model="numpy", forceinline=inlined)
        return cast(Loop, how(function))

    try:
        return make(cache=True)
    except RuntimeError:  # no folder may be written to, as in a container that is read-only: every process compiles
        return make(cache=False)
