"""Reading from DynamoDB in time, every failure as one of the typed errors, and credentials."""

from __future__ import annotations

import select
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from conf.errors import ConfigError, TopshelfError
from stores.base import (
    Row,
    StoreDenied,
    StoreFull,
    StoreMisshaped,
    StoreMissing,
    StoreThrottled,
    StoreTimeout,
    StoreUnavailable,
    Timeouts,
)
from stores.dynamodb_client import Refused, is_loopback
from tests.services.ports import free_port
from tests.services.throttling import BUSY
from tests.stores.dynamo import BRIEF, open_at, through


def test_reads_are_tried_again_as_often_as_they_may(loading, dynamodb):
    loading.write([Row("ann", 0, 1, b"row")], 1)
    with through(dynamodb, Timeouts(connect=1, read=1, retries=2)) as (store, busy):
        busy.fail("Query", "InternalServerError", status=500, times=2)
        assert store.ring("ann") == {1: b"row"}
        busy.fail("Query", BUSY, times=3)
        with pytest.raises(StoreThrottled):
            store.ring("ann")
        assert busy.calls["Query"] == 6


def test_a_ring_is_one_call_that_is_not_tried_again_by_the_service(loading, dynamodb):
    with through(dynamodb, BRIEF) as (store, busy):
        busy.fail("Query", "InternalServerError", status=500)
        with pytest.raises(StoreUnavailable):
            store.ring("ann")
        assert store.ring("ann") == {}
        assert busy.calls == {"Query": 2}


def test_a_user_id_that_no_row_can_have_is_unknown(loading):
    for user_id in ("", "x" * 3000):
        assert loading.ring(user_id) == {}
        loading.delete(user_id)


def test_a_slow_server_is_late_within_the_time_it_was_given(loading, dynamodb):
    with through(dynamodb, BRIEF, {"delay": 0.6}) as (store, _), pytest.raises(StoreTimeout, match=r"within 0\.3 s"):
        store.ring("ann")


@pytest.mark.parametrize("body", [b"<html>It works!</html>", b"{}", b"[]", b"\xff\xfe", b""])
def test_another_service_at_that_address_is_not_taken_for_an_empty_store(dynamodb, body):
    class Page(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=lambda: [server.handle_request() for _ in range(2)])
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        with open_at(dynamodb.model_copy(update={"endpoint": endpoint}), BRIEF) as store:
            for call in (store.read_control, lambda: store.ring("ann")):
                with pytest.raises(StoreUnavailable, match="is not DynamoDB"):
                    call()
        thread.join()


def seconds_until_late(dynamodb, server):
    endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
    with open_at(dynamodb.model_copy(update={"endpoint": endpoint}), BRIEF) as store:
        store._client._client.get()
        start = time.monotonic()
        with pytest.raises(StoreTimeout):
            store.ring("ann")
        return time.monotonic() - start


def test_a_server_that_accepts_and_never_answers_is_late_in_time(dynamodb):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert seconds_until_late(dynamodb, silent) < BRIEF.connect + BRIEF.read + 0.3


def test_a_server_that_does_not_even_accept_is_late_in_time(dynamodb):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        assert seconds_until_late(dynamodb, full) < BRIEF.connect + BRIEF.read + 0.3


def test_every_answer_that_is_an_error_has_its_type(dynamodb):
    kinds = {
        "ThrottlingException": StoreThrottled,
        BUSY: StoreThrottled,
        "RequestLimitExceeded": StoreThrottled,
        "ResourceNotFoundException": StoreMissing,
        "AccessDeniedException": StoreDenied,
        "ExpiredTokenException": StoreDenied,
        "UnrecognizedClientException": StoreDenied,
        "LimitExceededException": StoreFull,
        "ItemCollectionSizeLimitExceededException": StoreFull,
        "ValidationException": Refused,
        "SomethingNewException": StoreUnavailable,
        None: StoreUnavailable,
    }
    found = {}
    with through(dynamodb, BRIEF) as (store, busy):
        for code in kinds:
            busy.fail("Query", code)
            with pytest.raises(TopshelfError) as caught:
                store.ring("ann")
            found[code] = type(caught.value)
    assert found == kinds
    assert issubclass(Refused, StoreMisshaped)


def test_a_server_of_this_machine_needs_none_and_asks_no_metadata_address(dynamodb, monkeypatch):
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    with socket.create_server(("127.0.0.1", 0)) as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{metadata.getsockname()[1]}")
        with open_at(dynamodb) as store:
            store.create()
            assert store.ring("ann") == {}
        assert select.select([metadata], [], [], 0)[0] == []


def test_a_server_of_this_machine_is_not_asked_through_a_proxy(loading, dynamodb, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with open_at(dynamodb, BRIEF) as store:
        assert store.ring("ann") == {}


def test_without_credentials_nothing_goes_to_aws(dynamodb):
    with open_at(dynamodb.model_copy(update={"endpoint": None})) as store:
        for call in (store.read_control, store.check, lambda: store.ring("ann")):
            with pytest.raises(StoreDenied, match="AWS_ACCESS_KEY_ID"):
                call()


def test_a_profile_that_is_not_there_is_denied(dynamodb, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with open_at(dynamodb) as store, pytest.raises(StoreDenied, match="nobody"):
        store.ring("ann")


def test_wrong_credentials_are_denied(dynamodb, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "not a key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with open_at(dynamodb) as store, pytest.raises(StoreDenied, match="UnrecognizedClientException"):
        store.check()


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("http://127.0.0.1:8123", True),
        ("http://localhost:1", True),
        ("http://[::1]:8123", True),
        ("http://10.0.0.7:8123", False),
        ("https://dynamodb.us-east-1.amazonaws.com", False),
    ],
)
def test_only_this_machine_is_loopback(endpoint, local):
    assert is_loopback(endpoint) is local


def test_an_endpoint_that_is_no_address_is_a_wrong_setting(dynamodb):
    wrong = dynamodb.model_copy(update={"endpoint": "127.0.0.1"})
    with open_at(wrong) as store, pytest.raises(ConfigError, match=r"dynamodb\.endpoint"):
        store.ring("ann")
