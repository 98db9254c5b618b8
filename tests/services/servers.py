"""Real DynamoDB, CQL, Kafka, Spark, S3 and Redis servers: one of each for the suite; private ones to be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from cli.services.process import Server
from cli.services.programs import CASSANDRA, DYNAMODB_IN_MEMORY, KAFKA, Program
from cli.services.spark import Cluster
from tests.services import require_program
from tests.services.ports import free_port, wait_for_port


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


@pytest.fixture(scope="session")
def spark_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the suite's Spark master, which has one worker."""
    cluster = Cluster(tmp_path_factory.mktemp("spark-cluster"), os.environ, workers=1)
    port = free_port()
    cluster.start(port)
    try:
        yield f"spark://127.0.0.1:{port}"
    finally:
        cluster.stop()


class PrivateRedis:
    """A Redis of one test alone, which forgets everything when it ends: killed as by a crash, started again."""

    def __init__(self, folder: Path) -> None:
        self._program = require_program("redis-server")
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def start(self) -> None:
        """Returns once it listens."""
        options = ("--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no")
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *options], cwd=self._folder, stdout=log, stderr=log)
        wait_for_port(self.port, self._process, 10)

    def kill(self) -> None:
        """SIGKILL; returns once the process is gone. Fine when it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def pid(self) -> int:
        """For signals such as SIGSTOP; fails when it is not running."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> PrivateRedis:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port, on 127.0.0.1, of the suite's Redis."""
    with PrivateRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server.port


@dataclass(frozen=True)
class ObjectStorage:
    """A server that speaks S3, and a bucket on it."""

    port: int
    bucket: str = "lake"
    secret: str = "tests"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        """By which every client finds it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.secret,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        return boto3.client(
            "s3", "us-east-1", endpoint_url=self.endpoint,
            aws_access_key_id=self.secret, aws_secret_access_key=self.secret,
        )  # fmt: skip


@pytest.fixture(scope="session")
def object_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    """The suite's S3, which forgets everything when it ends."""
    storage, folder = ObjectStorage(free_port()), tmp_path_factory.mktemp("s3")
    program = str(Path(sys.executable).parent / "moto_server")
    with (folder / "s3.log").open("ab") as log:
        process = subprocess.Popen(
            [program, "-H", "127.0.0.1", "-p", str(storage.port)], cwd=folder, stdout=log, stderr=log
        )
    try:
        wait_for_port(storage.port, process, 60)
        storage.client().create_bucket(Bucket=storage.bucket)
        yield storage
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port, on 127.0.0.1, of the suite's Kafka, which makes no topic by itself."""
    with PrivateServer(KAFKA, tmp_path_factory.mktemp("kafka")) as server:
        yield server.port
