"""Every way in which a cluster can fail comes out typed and in words; nothing is left behind."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import cassandra
import pytest
from cassandra import protocol
from cassandra.cluster import NoHostAvailable

from conf.errors import ConfigError
from stores.base import (
    StoreDenied,
    StoreMisshaped,
    StoreThrottled,
    StoreTimeout,
    StoreUnavailable,
)
from stores.cql_errors import store_error
from stores.scylla import ScyllaStore
from tests.services.ports import free_port
from tests.stores.cql.helpers import PATIENT


def test_a_server_that_is_not_there_is_named_with_the_way_to_start_one(scylla, caplog):
    port = free_port()
    store = ScyllaStore(scylla.model_copy(update={"port": port}), PATIENT, 1)
    with caplog.at_level(logging.WARNING), pytest.raises(StoreUnavailable) as caught:
        store.check()
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "`topshelf services up scylla`" in str(caught.value)
    assert "refused" in str(caught.value)
    assert caplog.records == []


def test_an_unknown_data_centre_is_a_wrong_setting(open_cql):
    with pytest.raises(ConfigError, match=r"no data centre east, but datacenter1: correct scylla\.datacenter"):
        open_cql(datacenter="east").check()


def test_what_speaks_another_protocol_is_no_store(scylla):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk_of_something_else():
            with suppress(OSError):
                while True:
                    other, _ = server.accept()
                    with other:
                        other.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=talk_of_something_else, daemon=True).start()
        store = ScyllaStore(scylla.model_copy(update={"port": server.getsockname()[1]}), PATIENT, 1)
        with pytest.raises(StoreUnavailable):
            store.check()
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("raised", "expected", "words"),
    [
        (cassandra.AuthenticationFailed("no"), StoreDenied, "set scylla.username and scylla.password"),
        (NoHostAvailable("", {"a": cassandra.AuthenticationFailed("no")}), StoreDenied, "refuses the log-in"),
        (cassandra.Unauthorized('code=2100 message="User u has no MODIFY"'), StoreDenied, "(User u has no MODIFY)"),
        (protocol.OverloadedErrorMessage(0x1001, "too much", None), StoreThrottled, "overloaded (too much)"),
        (cassandra.RateLimitReached(cassandra.OperationType.Write), StoreThrottled, "overloaded"),
        (cassandra.OperationTimedOut(timeout=0.03), StoreTimeout, "no answer within 0.03 s"),
        (cassandra.WriteTimeout("late", write_type=0), StoreTimeout, "did not answer in time"),
        (NoHostAvailable("", {"a": cassandra.OperationTimedOut()}), StoreTimeout, "no node"),
        (NoHostAvailable("", ["10.0.0.1"]), StoreUnavailable, "no node"),
        (cassandra.Unavailable("", 6, 2, 1), StoreUnavailable, "LOCAL_QUORUM needs 2, 1 are up"),
        (cassandra.WriteFailure("disk", write_type=0), StoreUnavailable, "failed: "),
        (cassandra.UnresolvableContactPoints({}), StoreUnavailable, "no host of that name has an address"),
        (cassandra.InvalidRequest('message="no such thing"'), StoreMisshaped, "refuses the request: no such thing"),
        (protocol.ServerError(0, "bug", None), StoreUnavailable, "failed: bug"),
    ],
)
def test_every_error_of_the_driver_comes_out_typed(settings, raised, expected, words):
    typed = store_error(raised, settings.scylla)
    assert type(typed) is expected or (expected is StoreMisshaped and isinstance(typed, expected))
    assert words in str(typed)
    assert "127.0.0.1:9142" in str(typed)


USE_IT = """
import threading, time
from conf.settings import Scylla
from stores.base import PATIENT
from stores.scylla import ScyllaStore
store = ScyllaStore(Scylla.model_validate_json({settings!r}), PATIENT, 8)
assert store.ring("ann") == {{}}
"""


def run_python(script: str) -> str:
    """What it printed; nothing may come on standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_a_store_that_was_never_closed_lets_its_process_end(scylla):
    ended = run_python(USE_IT.format(settings=scylla.model_dump_json()) + "print(time.monotonic())")
    assert time.monotonic() - float(ended) < 4


def test_a_closed_store_leaves_no_thread(scylla):
    rest = "store.close()\nfor each in threading.enumerate()[1:]: each.join(8)\nprint(threading.active_count())"
    assert run_python(USE_IT.format(settings=scylla.model_dump_json()) + rest) == "1\n"
