"""The servers that run from fetched jars: DynamoDB Local, Kafka, and Cassandra as the peer that speaks Scylla's CQL."""

from __future__ import annotations

import http.client
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from cli.ivy import ROOT, JarSet, read_lock
from cli.services import cassandra, kafka

LOOPBACK = "127.0.0.1"
LOGBACK = ROOT / "conf" / "services" / "logback.xml"
ANSWER_SECONDS = 1.0
# Rows a second stayed the same on two cores, and the start took 1.4 s instead of 3.9 s when they were busy.
SMALL_JAVA = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_OPTIONS = struct.pack(">BBhBi", 4, 0, 0, 5, 0)
"""An OPTIONS frame of CQL's native protocol, version 4; a SUPPORTED frame answers it."""
_SUPPORTED = 0x84, 0x06
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 0x70C, -1)
"""A request for Kafka's API versions, the one that every broker understands; its answer begins with the same number."""


@dataclass(frozen=True)
class Launch:
    """What a command line is made from."""

    jars: Path
    data: Path
    """A folder that is there, and that no other server uses."""
    port: int


class Daemon(Protocol):
    """What a server is started from: a class of Java's, found among jars."""

    @property
    def title(self) -> str:
        """Its name, for people."""

    @property
    def folder(self) -> Path:
        """Where its jars are."""

    @property
    def command(self) -> Callable[[Launch], list[str]]:
        """Java's arguments; may write files into the data folder."""

    @property
    def answers(self) -> Callable[[int], bool]:
        """Whether a server of this kind answers on a port of 127.0.0.1; never raises."""

    @property
    def start_seconds(self) -> float:
        """How long it may take until it answers."""


@dataclass(frozen=True)
class Program:
    """A daemon whose jars are fetched."""

    kind: str
    """As store.kind has it, or eventlog.kind."""
    title: str
    jars: JarSet
    megabytes: int
    """Of the download."""
    command: Callable[[Launch], list[str]]
    answers: Callable[[int], bool]
    start_seconds: float

    @property
    def folder(self) -> Path:
        """Where the jars are: inside the Python environment."""
        return Path(sys.prefix) / "share" / "topshelf" / "services" / self.jars.lock_file.stem

    @property
    def lock(self) -> dict[str, str]:
        return read_lock(self.jars.lock_file)


def _dynamodb_command(launch: Launch) -> list[str]:
    return _dynamodb(launch, "-dbPath", str(launch.data))


def _dynamodb_in_memory(launch: Launch) -> list[str]:
    return _dynamodb(launch, "-inMemory")


def _dynamodb(launch: Launch, *where: str) -> list[str]:
    # One database for all regions and credentials; and nothing about its use is sent to anyone.
    flags = [*where, "-sharedDb", "-disableTelemetry", "-port", str(launch.port)]
    return [
        *(*SMALL_JAVA, f"-Dsqlite4java.library.path={launch.jars}", "-cp", f"{launch.jars}/*"),
        *("com.amazonaws.services.dynamodbv2.local.main.ServerRunner", *flags),
    ]


def _cassandra_command(launch: Launch) -> list[str]:
    settings = cassandra.write_settings(launch.data, launch.port, free_port())
    return [
        *(*SMALL_JAVA, *cassandra.JAVA_FLAGS),
        *(f"-Dcassandra.config={settings.as_uri()}", f"-Dcassandra.storagedir={launch.data}"),
        *(f"-Dlogback.configurationFile={LOGBACK}", "-cp", f"{launch.jars}/*", cassandra.MAIN),
    ]


def _kafka_command(launch: Launch) -> list[str]:
    settings = kafka.write_settings(launch.data, launch.port, free_port())
    return [*SMALL_JAVA, "-cp", f"{launch.jars}/*", kafka.MAIN, str(settings)]


def _dynamodb_answers(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/")
        # An unsigned request is refused, but with an id, as AWS does.
        return connection.getresponse().getheader("x-amzn-RequestId") is not None
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _cassandra_answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(_OPTIONS)
            head = connection.recv(len(_OPTIONS))
    except OSError:
        return False
    return len(head) == len(_OPTIONS) and (head[0], head[4]) == _SUPPORTED


def _kafka_answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(_API_VERSIONS)
            head = connection.recv(8)
    except OSError:
        return False
    return head[4:] == _API_VERSIONS[8:12]


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def listens(port: int) -> bool:
    """Whether anything at all listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(ANSWER_SECONDS)
        return probe.connect_ex((LOOPBACK, port)) == 0


DYNAMODB = Program(
    "dynamodb",
    "DynamoDB Local",
    JarSet(
        "jars of DynamoDB Local",
        ("com.amazonaws", "DynamoDBLocal", "2.6.1"),
        "conf/services/dynamodb.lock",
        by_hand="topshelf services fetch dynamodb --from FOLDER",
        types=("jar", "bundle", "so", "dylib"),
    ),
    megabytes=50,
    command=_dynamodb_command,
    answers=_dynamodb_answers,
    start_seconds=60,
)
DYNAMODB_IN_MEMORY = replace(DYNAMODB, command=_dynamodb_in_memory)
"""Forgets everything when it ends, and writes more than twice as fast."""
CASSANDRA = Program(
    "scylla",
    "Cassandra",
    JarSet(
        "jars of Cassandra",
        ("org.apache.cassandra", "cassandra-all", "5.0.9"),
        "conf/services/cassandra.lock",
        by_hand="topshelf services fetch scylla --from FOLDER",
    ),
    megabytes=64,
    command=_cassandra_command,
    answers=_cassandra_answers,
    start_seconds=180,
)
KAFKA = Program(
    "kafka",
    "Kafka",
    JarSet(
        "jars of Kafka",
        ("org.apache.kafka", "kafka_2.13", "4.4.0"),
        "conf/services/kafka.lock",
        by_hand="topshelf services fetch kafka --from FOLDER",
    ),
    megabytes=43,
    command=_kafka_command,
    answers=_kafka_answers,
    start_seconds=60,
)
PROGRAMS: Mapping[str, Program] = {program.kind: program for program in (DYNAMODB, CASSANDRA, KAFKA)}
"""By the store.kind, or the eventlog.kind, that they serve."""
