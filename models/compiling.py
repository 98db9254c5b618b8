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
    return _made(function)


def inlined(function: Loop) -> Loop:
    """As `compiled`, for what is called in inner loops: a call would cost more than what it does."""
    return _made(function, forceinline=True)


def _made(function: Loop, **more: bool) -> Loop:
    try:
        return cast(Loop, numba.njit(cache=True, nogil=True, error_model="numpy", **more)(function))
    except RuntimeError:  # no folder may be written to, as in a container that is read-only: every process compiles
        return cast(Loop, numba.njit(nogil=True, error_model="numpy", **more)(function))
