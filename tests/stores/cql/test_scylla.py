"""What the CQL store adds to the contract: its timestamps, its transactions, and how long a reader waits."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import pytest

from stores.base import ControlConflict, Row, StoreThrottled, StoreTimeout, Timeouts
from stores.control import Control
from stores.scylla import ScyllaStore
from tests.services.cql_proxy import LOST, overloaded, write_timeout
from tests.stores.cql.helpers import HASTY, PATIENT, refuse, rows_of, take_lease


def test_a_late_write_of_an_earlier_attempt_loses(open_cql):
    late, next_ = open_cql(), open_cql()
    take_lease(late, 1)

    def held_up():
        yield Row("bob", 0, 0, b"first")
        take_lease(next_, 2)
        next_.write([Row("ann", 0, 0, b"later attempt")], 2)
        yield Row("ann", 0, 0, b"zz earlier attempt")

    assert late.write(held_up(), 1).written == 2
    assert next_.ring("ann") == {0: b"later attempt"}
    assert next_.ring("bob") == {0: b"first"}


def test_every_write_carries_its_generation_as_its_time(open_cql, client):
    store = open_cql()
    for attempt in (1, 2):
        take_lease(store, attempt)
        store.write([Row("ann", 1, attempt, b"row")], attempt)
    times = client.query(f"SELECT slot, WRITETIME(row), TTL(row) FROM {client.settings.keyspace}.lists")
    assert times == [(4, 1, None), (5, 2, None)]


def test_a_deleted_user_comes_back_with_the_next_attempt_only(open_cql):
    store = open_cql()
    store.delete("ann")
    take_lease(store, 3)
    store.write(rows_of("ann", "bob"), 3)
    store.delete("ann")
    store.write(rows_of("ann"), 3)
    assert store.ring("ann") == {}
    take_lease(store, 4)
    store.write(rows_of("ann"), 4)
    assert store.ring("ann") == store.ring("bob") == {0: b"row"}


def test_a_swap_whose_answer_is_lost_went_through(open_cql, proxy):
    store = open_cql(HASTY, proxy)
    take_lease(store, 1)
    held = store.read_control()
    proxy.rule = refuse("UPDATE", [LOST])
    store.swap_control(held, replace(held, version=held.version + 1, lease=None))
    assert store.read_control() == replace(held, version=held.version + 1, lease=None)


def test_a_swap_that_timed_out_is_tried_again(open_cql, proxy):
    store = open_cql(replace(HASTY, retries=4), proxy)
    proxy.rule = refuse("INSERT", [write_timeout("CAS"), LOST])
    store.swap_control(None, Control.first("a-store"))
    assert store.read_control() == Control.first("a-store")


def test_a_swap_that_may_not_be_tried_again_says_that_nothing_changed(open_cql, proxy):
    store = open_cql(HASTY, proxy)
    proxy.rule = refuse("INSERT", [write_timeout("CAS")])
    with pytest.raises(StoreTimeout, match="was not changed, try again"):
        store.swap_control(None, Control.first("a-store"))
    assert store.read_control() is None


def test_a_swap_after_which_nobody_answers_says_that_it_is_not_known(open_cql, proxy):
    store = open_cql(HASTY, proxy)
    assert store.read_control() is None
    proxy.rule = refuse("INSERT", [LOST])
    reads = iter([None])

    def rule(request):
        if request.query.startswith("SELECT"):
            return next(reads, overloaded())
        return LOST if request.query.startswith("INSERT") else None

    proxy.rule = rule
    with pytest.raises(StoreTimeout, match="not known"):
        store.swap_control(None, Control.first("a-store"))


def test_the_same_record_from_another_is_a_conflict(open_cql, proxy):
    store, other = open_cql(HASTY, proxy), open_cql()
    record = Control.first("a-store")

    def another_is_faster(request):
        if request.query.startswith("INSERT") and other.read_control() is None:
            other.swap_control(None, record)
            return write_timeout("CAS")
        return None

    proxy.rule = another_is_faster
    with pytest.raises(ControlConflict):
        store.swap_control(None, record)


def test_a_read_is_tried_again_only_by_who_has_time(open_cql, proxy):
    proxy.rule = refuse("SELECT", [overloaded(), overloaded()])
    assert open_cql(replace(PATIENT, retries=2), proxy).ring("ann") == {}
    proxy.rule = refuse("SELECT", [overloaded()])
    with pytest.raises(StoreThrottled):
        open_cql(HASTY, proxy).ring("ann")


def test_a_server_that_accepts_and_never_answers_costs_the_reader_its_time_only(scylla):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = scylla.model_copy(update={"port": silent.getsockname()[1]})
        store = ScyllaStore(settings, Timeouts(connect=0.05, read=0.03, retries=0), 1)
        begin = time.monotonic()
        with pytest.raises(StoreTimeout, match=r"no connection .* within 0\.05 s"):
            store.ring("ann")
        assert time.monotonic() - begin < 1
    store.close()


def test_a_reader_does_not_wait_for_a_server_that_hangs_and_reads_on_when_it_is_back(open_cql, proxy):
    store = open_cql(Timeouts(connect=10, read=0.1, retries=0), proxy)
    take_lease(open_cql(), 1)
    open_cql().write(rows_of("ann"), 1)
    assert wait_for(lambda: store.ring("ann")) == {0: b"row"}
    with proxy.held():
        begin = time.monotonic()
        with pytest.raises(StoreTimeout):
            store.ring("ann")
        assert time.monotonic() - begin < 1
    assert wait_for(lambda: store.ring("ann")) == {0: b"row"}


def wait_for(read):
    """The first answer; time-outs are passed over."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return read()
        except StoreTimeout:
            assert time.monotonic() < deadline
