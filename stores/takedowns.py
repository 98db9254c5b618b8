"""Taking items down, and putting them back: a small write to the control record, which every worker follows."""

from __future__ import annotations

from collections.abc import Collection

from stores.base import Store
from stores.changing import change_control
from stores.control import Control


def take_down(store: Store, item_ids: Collection[str]) -> Control:
    """No answer of any service over this store holds these items, from its next look on. Returns the new record.

    A publication that is under way goes on.

    Raises:
        PermanentError: nothing has been published yet, an id is none, or there would be too many.
        ControlConflict: the control record kept on changing.
    """
    return _change(store, item_ids, undo=False)


def put_back(store: Store, item_ids: Collection[str]) -> Control:
    """The contrary of `take_down`; raises the same."""
    return _change(store, item_ids, undo=True)


def _change(store: Store, item_ids: Collection[str], undo: bool) -> Control:
    def change(control: Control) -> Control:
        after = control.without_takedowns(item_ids) if undo else control.with_takedowns(item_ids)
        return control if after.takedowns == control.takedowns else after

    return change_control(store, change, "nothing has been published to this store yet: run `topshelf run` first")[1]
