"""Changing the control record where others may change it at the same moment."""

from __future__ import annotations

from collections.abc import Callable

from conf.errors import PermanentError
from stores.base import ControlConflict, Store
from stores.control import Control

TRIES = 5


def change_control(store: Store, change: Callable[[Control], Control], nothing: str) -> tuple[Control, Control]:
    """Put what `change` makes of the control record in its place; a record that it leaves as it is is not written.

    change: called again with the newer record where another writer was first.
    nothing: the error's text where nothing was ever published to the store.

    Returns:
        The record before and after.

    Raises:
        PermanentError: there is no record.
        ControlConflict: it kept on changing.
    """
    for left in reversed(range(TRIES)):
        control = store.read_control()
        if control is None:
            raise PermanentError(nothing)
        after = change(control)
        if after == control:
            return control, control
        try:
            store.swap_control(control, after)
        except ControlConflict:
            if not left:
                raise
        else:
            return control, after
    raise AssertionError("the loop returns or raises")
