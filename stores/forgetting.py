"""Putting users on the barrier list: a small write to the control record, which every writer and worker follows."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from stores.barrier import KEY_BYTES
from stores.base import Store
from stores.changing import change_control
from stores.control import Control


def bar(store: Store, user_ids: Collection[str], now: int) -> Control:
    """From the services' next look on these users are unknown to them, and no load writes a row of theirs.

    A publication that is under way goes on. Users who are on the list already are put on it again, for services to
    begin new parts of their logs once more. Returns the new record.

    now: epoch milliseconds.

    Raises:
        PermanentError: there is no control record, or there would be more than 1,000 users.
        ControlConflict: the control record kept on changing.
    """
    key = secrets.token_hex(KEY_BYTES)
    return change_control(
        store,
        lambda control: control.with_forgotten(user_ids, now, key),
        "the store has no control record: begin one with jobs.publish.control_of",
    )[1]
