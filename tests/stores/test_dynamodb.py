"""What DynamoDB adds to the contract when rows are written: units, throttling, lost answers."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from stores.base import (
    MAX_ROW_BYTES,
    MAX_USER_ID_BYTES,
    ROW_OVERHEAD,
    ControlConflict,
    LeaseLost,
    Row,
    StoreMissing,
    StoreThrottled,
    StoreUnavailable,
)
from tests.services.throttling import BUSY
from tests.stores.dynamo import BRIEF, LOADING, open_at, some_rows, through


def test_the_largest_row_is_one_unit(loading):
    user_id = "u" * MAX_USER_ID_BYTES
    largest = b"x" * (MAX_ROW_BYTES - MAX_USER_ID_BYTES - ROW_OVERHEAD)
    report = loading.write([Row(user_id, 1, 2, largest)], 1)
    assert (report.written, report.units) == (1, 1)
    assert report.bytes <= MAX_ROW_BYTES
    assert loading.write([Row(user_id, 1, 2, largest + b"x")], 1).written == 0


def test_bytes_are_what_the_table_counts(loading):
    assert loading.write([Row("ann", 0, 0, b"row"), Row("bo", 1, 0, b"row")], 1).bytes == (3 + 3 + 3 + 1) + (
        2 + 3 + 3 + 2
    )


def test_of_rows_with_one_key_the_last_wins_wherever_it_stands(loading, monkeypatch):
    monkeypatch.setattr("stores.dynamodb_writer.CHUNK_ROWS", 3)
    rows = [Row(f"user{number % 4}", 0, 0, f"{number}".encode()) for number in range(40)]
    report = loading.write(rows, 1)
    assert (report.written, report.rejected, loading.count()) == (40, (), 4)
    assert [loading.ring(f"user{number}") for number in range(4)] == [
        {0: f"{36 + number}".encode()} for number in range(4)
    ]


def test_a_row_that_is_held_up_does_not_replace_a_later_one(loading, dynamodb, monkeypatch):
    monkeypatch.setattr("stores.dynamodb_writer.CHUNK_ROWS", 1)
    with through(dynamodb, sleep=lambda _: time.sleep(0.2)) as (store, busy):
        busy.fail("BatchWriteItem", BUSY)
        store.write([Row("ann", 0, 0, b"old"), Row("ann", 0, 0, b"new")], 1)
    assert loading.ring("ann") == {0: b"new"}


def test_a_row_that_dynamodb_refuses_is_rejected_alone_with_its_reason(loading, monkeypatch):
    monkeypatch.setattr("stores.dynamodb_writer.row_problem", lambda row: None)
    report = loading.write([*some_rows(30), Row("x" * 2049, 1, 0, b"row"), *some_rows(40)[30:]], 1)
    ((rejected),) = report.rejected
    assert (report.written, loading.count()) == (40, 40)
    assert (rejected.user_id, rejected.variant) == ("x" * 2049, 1)
    assert "2048 bytes" in rejected.reason
    assert report.bytes < 2000


def test_a_lease_lost_on_the_way_stops_the_next_chunk(loading, monkeypatch):
    monkeypatch.setattr("stores.dynamodb_writer.CHUNK_ROWS", 10)

    def rows():
        yield from some_rows(10)
        while loading.count() < 10:
            time.sleep(0.01)
        loading.swap_control(LOADING, replace(LOADING, version=3, attempts=2, lease=2))
        yield from some_rows(30)[10:]

    with pytest.raises(LeaseLost, match="attempt 1 may not write: the lease is with 2"):
        loading.write(rows(), 1)
    assert loading.count() == 10


def test_what_waits_for_a_busy_table_is_not_sent_once_the_lease_is_lost(loading, dynamodb):
    hour = 3600.0

    class Clock:
        now = 0.0

    def sleep(seconds):
        if Clock.now == 0:
            loading.swap_control(LOADING, replace(LOADING, version=3, lease=None))
        Clock.now = hour

    with through(dynamodb, clock=lambda: Clock.now, sleep=sleep) as (store, busy):
        busy.fail("BatchWriteItem", BUSY)
        with pytest.raises(LeaseLost):
            store.write(some_rows(5), 1)
    assert loading.count() == 0


def test_rows_are_taken_as_there_is_room_for_them(loading, dynamodb, monkeypatch):
    monkeypatch.setattr("stores.dynamodb_writer.CHUNK_ROWS", 50)
    ahead = []

    def rows():
        for number, row in enumerate(some_rows(500)):
            ahead.append(number - busy.rows)
            yield row

    with through(dynamodb, proxy={"delay": 0.02}, rows_in_flight=50) as (store, busy):
        assert store.write(rows(), 1).written == 500
    assert 50 <= max(ahead) < 150


def test_an_iterator_that_breaks_ends_the_write(loading):
    def rows():
        yield from some_rows(3)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        loading.write(rows(), 1)


def test_a_busy_table_gets_every_row_and_the_rate_adapts(loading, dynamodb):
    with through(dynamodb, proxy={"units_per_second": 1000, "left_out": 0.2, "seed": 3}) as (store, busy):
        report = store.write(some_rows(2500, b"x" * 100), 1)
        assert busy.rows == report.units == 2500
        assert store._pace.get().rate < 3000
    assert (report.written, report.rejected) == (2500, ())
    assert report.throttled > 10
    assert loading.count() == 2500
    assert all(loading.ring(f"user{number}") == {number % 3: b"x" * 100} for number in (0, 1, 1249, 2498, 2499))


def test_a_budget_is_kept(loading, dynamodb):
    with open_at(dynamodb, units=500) as store:
        start = time.monotonic()
        report = store.write(some_rows(600), 1)
        assert time.monotonic() - start >= 1
    assert (report.written, report.throttled) == (600, 0)


def test_a_writer_gives_up_on_a_table_that_takes_nothing_for_a_minute(loading, dynamodb):
    class Clock:
        now = 0.0

    def sleep(seconds):
        Clock.now += seconds + 1

    with through(dynamodb, clock=lambda: Clock.now, sleep=sleep, rows_in_flight=25) as (store, busy):
        busy.fail("BatchWriteItem", BUSY, times=1000)
        with pytest.raises(StoreThrottled, match="too busy to take any row for 6"):
            store.write(some_rows(25), 1)
        assert 10 < busy.calls["BatchWriteItem"] < 70


def test_a_writer_is_patient_as_long_as_something_is_taken(loading, dynamodb, monkeypatch):
    monkeypatch.setattr("stores.dynamodb_writer.CHUNK_ROWS", 25)

    class Clock:
        now = 0.0

    def sleep(_):
        Clock.now += 10

    def rows():
        for start in (0, 25):
            while busy.rows < start:
                time.sleep(0.01)
            busy.fail("BatchWriteItem", BUSY, times=4)
            yield from some_rows(50)[start : start + 25]

    with through(dynamodb, clock=lambda: Clock.now, sleep=sleep, rows_in_flight=25) as (store, busy):
        assert store.write(rows(), 1).throttled == 8
    assert Clock.now > 60


def test_a_failure_is_not_kept_waiting_by_what_waits_for_a_busy_table(loading, dynamodb):
    with through(dynamodb, rows_in_flight=50) as (store, busy):
        busy.fail("BatchWriteItem", BUSY)
        busy.fail("BatchWriteItem", "ResourceNotFoundException")
        busy.fail("BatchWriteItem", BUSY, times=1000)
        with pytest.raises(StoreMissing):
            store.write(some_rows(50), 1)
        assert busy.calls["BatchWriteItem"] < 10


def test_writes_outlast_a_server_that_fails_now_and_then(loading, dynamodb):
    with through(dynamodb) as (store, busy):
        busy.fail("BatchWriteItem", "InternalServerError", status=500)
        busy.fail("BatchWriteItem", None)
        report = store.write(some_rows(100), 1)
        assert (report.written, report.throttled) == (100, 0)
        busy.fail("BatchWriteItem", "InternalServerError", status=500)
    with through(dynamodb, BRIEF) as (store, busy):
        busy.fail("BatchWriteItem", "InternalServerError", status=500)
        with pytest.raises(StoreUnavailable, match="500 InternalServerError"):
            store.write(some_rows(100), 1)
    assert loading.count() == 100


def test_a_user_of_the_same_name_and_the_control_record_do_not_meet(loading):
    loading.write([Row("topshelf", 0, 0, b"row")], 1)
    assert loading.ring("topshelf") == {0: b"row"}
    assert loading.count() == 1
    loading.delete("topshelf")
    assert loading.ring("topshelf") == {}
    assert loading.read_control() == LOADING


def test_a_swap_whose_answer_was_lost_is_known_for_one_s_own(loading, dynamodb):
    new = replace(LOADING, version=3)
    with through(dynamodb) as (store, busy):
        busy.fail("PutItem", None)
        store.swap_control(LOADING, new)
        assert busy.calls["PutItem"] == 2
    assert loading.read_control() == new
    with pytest.raises(ControlConflict, match="is at version 3, expected 2"):
        loading.swap_control(LOADING, new)
