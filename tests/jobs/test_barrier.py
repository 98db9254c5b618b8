"""The whole barrier list in batch steps: Spark's hashes are Python's, and table and key outlive the control record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conf.errors import DataError
from conf.settings import Settings
from jobs import barrier
from jobs.barrier import Barred
from jobs.lake import Lake
from jobs.publish import control_of
from jobs.tables import FORGOTTEN
from stores.barrier import hash_of
from stores.control import Control
from stores.opening import open_store

KEY = "0f" * 32


def test_rows_of_users_who_were_forgotten_are_left_out_and_those_of_nobody_stay(lake: Lake) -> None:
    users = ["ann", "bøb", "c" * 64, "日本", "'; --", "dan", None]
    key = bytes.fromhex(KEY)
    barred = Barred(key, frozenset(hash_of(key, user) for user in users[:5]))
    rows = lake.spark.createDataFrame([(user,) for user in users], "user_id string")
    assert {row["user_id"] for row in barred.without(rows).collect()} == {"dan", None}
    assert [barred.bars(user) for user in users[:6]] == [True] * 5 + [False]


def test_what_the_control_record_forgets_the_table_keeps_and_a_new_store_goes_on_with_the_key(
    lake: Lake, settings: Settings
) -> None:
    assert not barrier.load(lake, settings)
    control = Control.first("s").with_forgotten(["ann"], 7, KEY)
    assert barrier.load(lake, settings, control).bars("ann")
    barrier.settle(lake, settings, control)
    more = control.with_forgotten(["bob"], 9, KEY)
    barrier.settle(lake, settings, more)
    barrier.settle(lake, settings, more)
    assert lake.read(FORGOTTEN).count() == 2
    pruned = replace(more, barrier=more.barrier.carried(9))
    found = barrier.load(lake, settings, pruned)
    assert [found.bars(user) for user in ("ann", "bob", "cat")] == [True, True, False]
    assert found.upto == 9
    with open_store(settings) as store:
        again = control_of(store, barrier.key_of(settings))
    assert again.barrier.key == KEY
    assert barrier.load(lake, settings, again).bars("ann")
    (settings.home / barrier.KEY_FILE).unlink()
    with pytest.raises(DataError, match="key is gone"):
        barrier.load(lake, settings)
