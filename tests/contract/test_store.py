"""What every store promises (stores/base.py), run on each of them."""

from __future__ import annotations

import multiprocessing
import threading
from dataclasses import replace

import pytest

from stores.base import MAX_ROW_BYTES, MAX_USER_ID_BYTES, ControlConflict, LeaseLost, Row
from stores.control import Control

LEASE = 1


@pytest.fixture
def loading(store):
    """A store whose lease is with attempt 1."""
    first = Control.first("a-store")
    store.swap_control(None, first)
    store.swap_control(first, replace(first, version=2, attempts=LEASE, lease=LEASE))
    return store


def test_a_new_store_is_empty(store):
    assert store.read_control() is None
    assert store.ring("ann") == {}
    assert store.count() == 0
    store.delete("ann")


def test_what_is_written_is_read_by_another_connection(loading, connect):
    rows = [Row("ann", 0, 0, b"a0"), Row("ann", 0, 2, b"a2"), Row("bob", 0, 0, b"b0"), Row("ann", 1, 1, b"other")]
    report = loading.write(iter(rows), LEASE)
    assert (report.written, report.rejected) == (4, ())
    assert report.bytes >= sum(len(row.user_id) + len(row.blob) for row in rows)
    with connect() as other:
        assert other.ring("ann") == {0: b"a0", 2: b"a2"}
        assert other.ring("ann", variant=1) == {1: b"other"}
        assert other.ring("bob") == {0: b"b0"}
        assert other.ring("an") == {}
        assert other.count() == 4


def test_writing_again_replaces(loading):
    loading.write([Row("ann", 0, 1, b"old")], LEASE)
    held = loading.read_control()
    loading.swap_control(held, held.begun(LEASE + 1))
    loading.write([Row("ann", 0, 1, b"new")], LEASE + 1)
    loading.write([Row("ann", 0, 1, b"new")], LEASE + 1)
    assert loading.ring("ann") == {1: b"new"}
    assert loading.count() == 1


def test_what_cannot_be_stored_is_rejected_and_the_rest_goes_on(loading):
    longest = "ü" * (MAX_USER_ID_BYTES // 2)
    report = loading.write(
        [
            Row(longest + "x", 0, 0, b"row"),
            Row("", 0, 0, b"row"),
            Row("big", 0, 0, b"x" * MAX_ROW_BYTES),
            Row("ann", 0, 3, b"row"),
            Row(longest, 0, 0, b"row"),
        ],
        LEASE,
    )
    assert report.written == 1
    assert [rejected.user_id for rejected in report.rejected] == [longest + "x", "", "big", "ann"]
    assert loading.ring(longest) == {0: b"row"}


def test_only_the_holder_of_the_lease_may_write(loading):
    with pytest.raises(LeaseLost):
        loading.write([Row("ann", 0, 0, b"row")], LEASE + 1)
    held = loading.read_control()
    loading.swap_control(held, replace(held, version=held.version + 1, lease=None))
    with pytest.raises(LeaseLost):
        loading.write([Row("ann", 0, 0, b"row")], LEASE)
    assert loading.count() == 0


def test_a_store_without_a_control_record_takes_no_row(store):
    with pytest.raises(LeaseLost):
        store.write([Row("ann", 0, 0, b"row")], LEASE)


def test_a_swap_needs_the_record_it_was_made_from(store):
    first = Control.first("a-store")
    store.swap_control(None, first)
    with pytest.raises(ControlConflict):
        store.swap_control(None, Control.first("another"))
    second = replace(first, version=2, lease=1)
    store.swap_control(first, second)
    with pytest.raises(ControlConflict):
        store.swap_control(first, replace(first, version=2, lease=2))
    assert store.read_control() == second


def test_versions_rise_one_by_one(store):
    with pytest.raises(ValueError, match="version"):
        store.swap_control(None, replace(Control.first("a-store"), version=2))


def test_of_many_who_swap_at_once_one_wins(connect, store):
    first = Control.first("a-store")
    store.swap_control(None, first)
    won, barrier = [], threading.Barrier(8)

    def take(attempt):
        with connect() as mine:
            barrier.wait()
            try:
                mine.swap_control(first, replace(first, version=2, lease=attempt))
                won.append(attempt)
            except ControlConflict:
                pass

    threads = [threading.Thread(target=take, args=(attempt,)) for attempt in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.read_control().lease == won[0]


def test_deleting_takes_every_row_of_one_user(loading):
    loading.write([Row("ann", variant, position, b"row") for variant in (0, 1) for position in (0, 1, 2)], LEASE)
    loading.write([Row("anna", 0, 0, b"row")], LEASE)
    loading.delete("ann")
    assert loading.ring("ann") == loading.ring("ann", variant=1) == {}
    assert loading.ring("anna") == {0: b"row"}
    assert loading.count() == 1


def test_a_closed_store_connects_again(loading):
    loading.write([Row("ann", 0, 0, b"row")], LEASE)
    loading.close()
    assert loading.ring("ann") == {0: b"row"}


def _read_in_a_new_process(connect, queue):
    with connect() as store:
        queue.put((store.ring("ann"), store.read_control().store_id))


def test_another_process_reads_what_was_written(loading, connect):
    loading.write([Row("ann", 0, 0, b"row")], LEASE)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_read_in_a_new_process, args=(connect, queue))
    child.start()
    assert queue.get(timeout=30) == ({0: b"row"}, "a-store")
    child.join()


def _write_in_a_child(store):
    store.write([Row("child", 0, 0, b"row")], LEASE)


def test_a_store_used_before_a_fork_works_in_the_child(loading):
    loading.write([Row("parent", 0, 0, b"row")], LEASE)
    child = multiprocessing.get_context("fork").Process(target=_write_in_a_child, args=(loading,))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert loading.ring("child") == loading.ring("parent") == {0: b"row"}
