"""Servers of the lists that hang or die while the service is asked."""

from __future__ import annotations

import os
import signal

import pytest

from cli.services.programs import CASSANDRA, DYNAMODB
from tests.faults.conftest import LONG
from tests.faults.serving.conftest import is_personal, served, under_load
from tests.faults.test_servers import at
from tests.services.servers import PrivateServer


def is_remembered(answer):
    return b'"source":"cached"' in answer.body


@pytest.mark.parametrize(
    ("kind", "program", "answers"),
    [
        pytest.param("dynamodb", DYNAMODB, 100, id="dynamodb"),
        pytest.param("dynamodb", DYNAMODB, 3000, id="dynamodb-long", marks=LONG),
        pytest.param("scylla", CASSANDRA, 3000, id="scylla-long", marks=LONG),
    ],
)
def test_a_store_that_hangs_or_dies_costs_no_answer(kind, program, answers, settings, tmp_path, note):
    with (
        PrivateServer(program, tmp_path / "server") as server,
        served(at(settings, kind, server.port)) as service,
        under_load(service) as load,
    ):
        note("none, for comparison", kind, load, 0)
        since = len(load.answers)
        os.kill(server.pid, signal.SIGSTOP)
        load.wait_for(answers)
        load.wait_for(20, is_remembered)
        note("hangs", kind, load, since)
        os.kill(server.pid, signal.SIGCONT)
        load.wait_for(20, is_personal)

        since = len(load.answers)
        server.kill()
        load.wait_for(answers)
        load.wait_for(20, is_remembered)
        note("killed", kind, load, since)
        server.start()
        load.wait_for(20, is_personal)
