"""Rows on their way to a cluster that is busy, breaks off, refuses, or goes away."""

from __future__ import annotations

import threading

import pytest

from stores import cql_writer
from stores.base import (
    LeaseLost,
    Row,
    StoreDenied,
    StoreThrottled,
    StoreTimeout,
    StoreUnavailable,
)
from tests.services.cql_proxy import LOST, error, overloaded, write_timeout
from tests.stores.cql.helpers import refuse, rows_of, take_lease


def test_a_busy_cluster_gets_every_row_in_the_end(open_cql, proxy):
    store = open_cql(via=proxy)
    take_lease(store, 1)
    proxy.rule = refuse("INSERT INTO", [overloaded(), write_timeout("SIMPLE"), error(0x1002, "starting")] * 5)
    report = store.write(rows_of(*map(str, range(300))), 1)
    assert (report.written, report.rejected, report.throttled) == (300, (), 15)
    assert store.count() == 300


def test_a_busy_cluster_is_given_fewer_rows_at_once(open_cql, proxy):
    store = open_cql(via=proxy, rows_in_flight=64)
    take_lease(store, 1)
    refusals = iter(range(64))

    def refuse_a_window(request):
        if request.query.startswith("INSERT") and next(refusals, None) is not None:
            proxy.widest = 0
            return overloaded()
        return None

    proxy.rule = refuse_a_window
    assert store.write(rows_of(*map(str, range(100))), 1).written == 100
    assert proxy.widest <= 44  # half of 64, and four more for each window that went well


def test_connections_that_break_lose_no_row(open_cql, proxy):
    store = open_cql(via=proxy)
    take_lease(store, 1)

    def rows():
        for number in range(200):
            if number == 100:
                proxy.hang_up()
            yield Row(str(number), 0, 0, b"row")

    report = store.write(rows(), 1)
    assert report.written == 200
    assert store.count() == 200


def test_no_more_rows_are_taken_than_may_be_on_their_way(open_cql, proxy):
    store = open_cql(via=proxy, rows_in_flight=4)
    take_lease(store, 1)
    proxy.widest = 0
    assert store.write(rows_of(*map(str, range(100))), 1).written == 100
    assert 1 < proxy.widest <= 4


def test_a_row_that_the_server_refuses_is_rejected_with_its_reason(open_cql, proxy):
    store = open_cql(via=proxy)
    take_lease(store, 1)
    refused = error(0x2200, "value is too large")
    proxy.rule = lambda request: refused if request.query.startswith("INSERT") and b"bad" in request.body else None
    report = store.write(rows_of("ann", "bad", "bob", ""), 1)
    assert report.written == 2
    assert {(each.user_id, each.reason) for each in report.rejected} == {
        ("bad", "value is too large"),
        ("", "user_id has 0 bytes; 1 to 64 fit"),
    }


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (overloaded(), StoreThrottled),
        (LOST, StoreTimeout),
        (write_timeout("SIMPLE"), StoreUnavailable),
        (error(0x2100, "no MODIFY permission"), StoreDenied),
    ],
)
def test_a_write_that_gets_nothing_through_fails(open_cql, proxy, answer, expected):
    store = open_cql(via=proxy, patience=0.3)
    take_lease(store, 1)
    proxy.rule = lambda request: answer if request.query.startswith("INSERT") else None
    with pytest.raises(expected):
        store.write(rows_of("ann", "bob"), 1)


def test_a_lease_that_is_lost_on_the_way_ends_the_write(open_cql, monkeypatch):
    monkeypatch.setattr(cql_writer, "LEASE_ROWS", 10)
    store = open_cql()
    take_lease(store, 1)

    def rows():
        for number in range(40):
            if number == 15:
                take_lease(store, 2)
            yield Row(str(number), 0, 0, b"row")

    with pytest.raises(LeaseLost, match="attempt 1 may not write: the lease is with 2"):
        store.write(rows(), 1)
    assert store.count() == 20


def test_rows_that_come_slowly_are_not_sent_on_an_old_lease(open_cql, monkeypatch):
    monkeypatch.setattr(cql_writer, "LEASE_SECONDS", 0)
    store = open_cql()
    take_lease(store, 1)

    def rows():
        yield Row("ann", 0, 0, b"row")
        take_lease(store, 2)
        yield Row("bob", 0, 0, b"row")

    with pytest.raises(LeaseLost):
        store.write(rows(), 1)
    assert store.ring("bob") == {}


def test_a_write_whose_rows_fail_ends_when_nothing_is_on_its_way(open_cql, proxy):
    store = open_cql(via=proxy)
    take_lease(store, 1)
    arrived, go = threading.Event(), threading.Event()

    def hold_rows(request):
        if request.query.startswith("INSERT"):
            arrived.set()
            go.wait(20)

    def rows():
        yield from rows_of("ann")
        raise OSError("the rows' source is gone")

    def write():
        with pytest.raises(OSError, match="source is gone"):
            store.write(rows(), 1)

    proxy.rule = hold_rows
    thread = threading.Thread(target=write)
    thread.start()
    assert arrived.wait(20)
    thread.join(0.2)
    assert thread.is_alive()
    go.set()
    thread.join()
    assert open_cql().count() == 1
