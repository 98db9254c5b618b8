"""Taking items down, on every store."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from conf.errors import PermanentError
from stores.base import ControlConflict, Row
from stores.control import Control
from stores.takedowns import put_back, take_down


def test_items_are_taken_down_beside_a_load_and_stay_so_over_its_switch(store):
    with pytest.raises(PermanentError, match="nothing has been published"):
        take_down(store, ["a"])
    first = Control.first("a-store")
    store.swap_control(None, first)
    store.swap_control(first, first.begun(1))
    assert take_down(store, ["b", "a"]).takedowns == ("a", "b")
    assert store.write([Row("ann", 0, 0, b"row")], 1).written == 1
    assert take_down(store, ["a"]) == store.read_control()  # nothing to change
    assert put_back(store, ["a", "never down"]).takedowns == ("b",)
    assert put_back(store, ["b"]) == store.read_control()
    assert store.read_control() == replace(first.begun(1), version=5)


def test_many_who_take_down_at_once_all_do(connect, store):
    store.swap_control(None, Control.first("a-store"))
    together = threading.Barrier(3)

    def take(item_id):
        with connect() as mine:
            together.wait(30)
            while True:
                try:
                    take_down(mine, [item_id])
                except ControlConflict:
                    continue  # it lost every one of its tries
                return

    threads = [threading.Thread(target=take, args=(item_id,)) for item_id in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read_control().takedowns == ("a", "b", "c")
