"""The last step of a publication, and its contrary, on a control record that operators may touch meanwhile."""

from __future__ import annotations

from stores.base import ControlConflict, Store, StoreUnavailable
from stores.control import Control
from stores.generation import Generation

TRIES = 5


def switch(store: Store, leased: Control, made: Generation) -> Control:
    """Send readers to `made` by one compare-and-set. Items taken down since `leased` was written stay so, and
    so does a step of a rollout.

    Returns the control record after it.

    Raises:
        ControlConflict: the record changed otherwise since `leased`: another publisher, or an operator.
        StoreUnavailable: the store did not answer, and readers are not there.
    """
    for left in reversed(range(TRIES)):
        found = store.read_control()
        if not still_held(found, leased):
            raise ControlConflict("the control record was changed by another since the lease was taken")
        assert found is not None  # still_held
        after = found.switched(made)
        try:
            store.swap_control(found, after)
        except ControlConflict:
            if not left:
                raise
        except StoreUnavailable:
            # The answer may have been lost on its way back, after the switch.
            if store.read_control() != after:
                raise
            return after
        else:
            return after
    raise AssertionError("the loop returns or raises")


def still_held(found: Control | None, leased: Control) -> bool:
    """Whether the lease is as it was taken: only takedowns, the rollout and what trends may have changed."""
    return found is not None and found.differs_by_operators_only(leased)
