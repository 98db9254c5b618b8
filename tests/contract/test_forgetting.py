"""Forgetting a user beside a load, on every store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conf.errors import PermanentError
from stores.base import Row
from stores.control import Control
from stores.forgetting import bar

ROWS = 600
"""More than any store writes on one look at the control record, but for the embedded one, which looks last."""


@pytest.fixture
def loading(store):
    first = Control.first("a-store")
    store.swap_control(None, first)
    store.swap_control(first, first.begun(1))
    return store


def test_who_is_forgotten_in_the_middle_of_a_load_is_left_out_and_counted(loading):
    loading.write([Row("ann", 0, 0, b"before")], 1)

    def rows():
        yield from (Row(f"user{number}", 0, 0, b"row") for number in range(ROWS))
        bar(loading, ["ann"], 1)
        loading.delete("ann")
        yield from (Row(f"user{number}", 0, 1, b"row") for number in range(2 * ROWS))
        yield from (Row("ann", variant, 1, b"late") for variant in (0, 1))

    report = loading.write(rows(), 1)
    assert (report.written, report.erased, report.rejected) == (3 * ROWS, 2, ())
    assert loading.ring("ann") == loading.ring("ann", 1) == {}
    assert loading.ring("user7") == {0: b"row", 1: b"row"}


def test_what_a_load_had_on_its_way_loses_to_the_delete_that_follows(loading, connect):
    with connect() as other:
        other.write([Row("ann", 0, 0, b"on its way"), Row("bob", 0, 0, b"row")], 1)
        bar(loading, ["ann"], 1)
        loading.delete("ann")
        assert loading.scrub() == other.scrub()
        assert (other.ring("ann"), other.ring("bob")) == ({}, {0: b"row"})
        assert other.write([Row("ann", 0, 0, b"again"), Row("bob", 0, 1, b"row")], 1).erased == 1
        assert (loading.ring("ann"), loading.ring("bob")) == ({}, {0: b"row", 1: b"row"})


def test_users_are_barred_beside_a_load_and_again_with_a_later_moment(loading):
    once = bar(loading, ["ann", "bob"], 5)
    assert once == loading.read_control()
    assert [once.bars(user) for user in ("ann", "bob", "cat")] == [True, True, False]
    again = bar(loading, ["ann"], 5)
    assert again.bars("ann")
    assert len(again.barrier.entries) == 2
    assert again.barrier.moment > once.barrier.moment
    assert again.barrier.key == once.barrier.key
    assert replace(again, barrier=None, version=2) == Control.first("a-store").begun(1)


def test_a_store_without_a_record_bars_nobody(store):
    with pytest.raises(PermanentError):
        bar(store, ["ann"], 1)
