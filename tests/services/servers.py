"""Real DynamoDB and CQL servers: one of each for the suite, and private ones that a test may kill and restart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.services.process import Server
from cli.services.programs import CASSANDRA, DYNAMODB_IN_MEMORY, Program
from tests.services.ports import free_port


def require_jars(program: Program) -> None:
    """Skip the test, or in continuous integration (CI=true) fail it, where the program's jars are missing."""
    if all((program.folder / name).is_file() for name in program.lock):
        return
    reason = f"the {program.jars.title} are missing: .venv/bin/topshelf services fetch {program.kind}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class PrivateServer:
    """A server of one test alone: killed as by a crash, started again on the same port over the same data."""

    def __init__(self, program: Program, folder: Path) -> None:
        require_jars(program)
        self.port = free_port()
        self._server = Server(program, folder, os.environ)

    def start(self) -> None:
        """Returns once it answers."""
        self._server.start(self.port)

    def kill(self) -> None:
        """SIGKILL; returns once the process is gone. Fine when it is not running."""
        self._server.kill()

    @property
    def pid(self) -> int:
        """For signals such as SIGSTOP; fails when it is not running."""
        running = self._server.running()
        assert running is not None
        return running.pid

    def __enter__(self) -> PrivateServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@pytest.fixture(scope="session")
def dynamodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the suite's DynamoDB Local."""
    with PrivateServer(DYNAMODB_IN_MEMORY, tmp_path_factory.mktemp("dynamodb")) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="session")
def cassandra_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The CQL port, on 127.0.0.1, of the suite's Cassandra."""
    with PrivateServer(CASSANDRA, tmp_path_factory.mktemp("cassandra")) as server:
        yield server.port
