"""Servers for people: their jars are checked, they start once, and only they are ever stopped."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.services.process import Server, ServerEnded, ServerSilent
from cli.services.programs import DYNAMODB, KAFKA, PROGRAMS
from conf.loading import load
from stores.control import Control
from stores.opening import open_eventlog, open_eventlog_reader, open_store
from tests.cli.conftest import Topshelf
from tests.cli.test_jars import fake_java
from tests.services.ports import free_port
from tests.services.servers import require_jars

CONTENT = {"a.jar": b"first", "libb.so": b"second"}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the two files of a small lock, in force for `dynamodb`, and an environment without any jars."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    lock = tmp_path / "small.lock"
    lock.write_text("".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in CONTENT.items()))
    program = replace(DYNAMODB, jars=replace(DYNAMODB.jars, lock_name=str(lock)))
    monkeypatch.setitem(PROGRAMS, "dynamodb", program)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    return folder


def test_jars_from_a_folder_are_installed_once(topshelf: Topshelf, source: Path, tmp_path: Path) -> None:
    first, second = (topshelf("services", "fetch", "dynamodb", "--from", str(source)) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout.startswith("2 jars of DynamoDB Local checked and in place")
    assert second.stdout.startswith("the 2 jars of DynamoDB Local are in place")
    installed = tmp_path / "env" / "share" / "topshelf" / "services" / "small"
    assert {path.name: path.read_bytes() for path in installed.iterdir()} == CONTENT


def test_a_jar_that_is_not_the_pinned_one_is_refused(topshelf: Topshelf, source: Path, tmp_path: Path) -> None:
    (source / "libb.so").write_bytes(b"tampered")
    result = topshelf("services", "fetch", "dynamodb", "--from", str(source))
    assert result.exit_code == 1
    assert f"libb.so in {source} differ from" in result.stderr
    assert list((tmp_path / "env").rglob("*.jar")) == []


def test_a_failing_fetch_gives_the_reason_and_the_way_out(
    topshelf: Topshelf, source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    java = fake_java(tmp_path, 'echo "                :: com.amazonaws#DynamoDBLocal;2.6.1: not found"')
    monkeypatch.setenv("JAVA_HOME", java["JAVA_HOME"])
    result = topshelf("services", "fetch", "dynamodb")
    assert result.exit_code == 3
    assert "com.amazonaws#DynamoDBLocal;2.6.1: not found" in result.stderr
    assert "topshelf services fetch dynamodb --from FOLDER" in result.stderr


def test_the_locks_name_the_versions_of_the_coordinates() -> None:
    for program in PROGRAMS.values():
        _, artifact, version = program.jars.module
        assert f"{artifact}-{version}.jar" in program.lock


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["up"], "store.kind is embedded, which needs no server"),
        (["up", "dynamodb", "--set", "dynamodb.endpoint="], "dynamodb.endpoint is empty, which means AWS itself"),
        (["up", "dynamodb", "--set", "dynamodb.endpoint=http://db.example:8123"], "at 127.0.0.1 only"),
        (["up", "dynamodb", "--set", "dynamodb.endpoint=https://127.0.0.1:8123"], "at 127.0.0.1 only"),
        (["up", "kafka", "--set", "kafka.brokers=a.example:9192"], "kafka.brokers is a.example:9192: "),
        (["up", "kafka", "--set", "kafka.brokers=127.0.0.1:9192,b:9192"], "is 127.0.0.1:9192,b:9192: "),
        (["up", "scylla", "--set", "scylla.hosts=[127.0.0.1, 10.0.0.1]"], "is 127.0.0.1:9142, 10.0.0.1:9142: "),
        (["up", "spark", "--set", "spark.master=spark://10.0.0.1:7077"], "spark.master is spark://10.0.0.1:7077: "),
        (["up", "spark", "--set", "spark.master=yarn"], "spark.master is yarn: "),
    ],
)
def test_what_is_not_of_this_machine_is_not_started(topshelf: Topshelf, arguments: list[str], reason: str) -> None:
    result = topshelf("services", *arguments)
    assert result.exit_code == 2
    assert reason in result.stderr


@pytest.fixture
def fake_server(tmp_path: Path) -> Callable[[str], Server]:
    """A server whose Java is a shell script, given a fifth of a second to answer."""
    return lambda script: Server(replace(DYNAMODB, start_seconds=0.2), tmp_path / "served", fake_java(tmp_path, script))


def test_a_server_that_ends_gives_the_end_of_its_log(fake_server: Callable[[str], Server]) -> None:
    server = fake_server("echo out of memory >&2; exit 1")
    server.folder.mkdir()
    server.log.write_text("of an earlier start\n")
    with pytest.raises(ServerEnded, match=r"ended before it answered.*:\nout of memory$"):
        server.start(free_port())
    assert server.running() is None


def test_a_server_that_does_not_answer_is_not_left_behind(fake_server: Callable[[str], Server]) -> None:
    server = fake_server("echo $$; while :; do sleep 0.1; done")
    with pytest.raises(ServerSilent, match=r"did not answer within 0\.2 s"):
        server.start(free_port())
    # What has ended, but was not reaped yet, has no arguments any more.
    left = Path(f"/proc/{server.log.read_text().strip()}/cmdline")
    assert not left.exists() or left.read_bytes() == b""


def test_a_process_id_that_is_somebody_elses_now_is_left_alone(topshelf: Topshelf, home: Path) -> None:
    note = home / "services" / "dynamodb" / "running.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"pid": os.getpid(), "port": free_port()}))
    assert states(topshelf)["dynamodb"] == ("down", None)
    # Were it taken for the server, this would end the tests.
    assert topshelf("services", "down").stdout.startswith("DynamoDB Local was not up\n")
    assert not note.exists()


def states(topshelf: Topshelf) -> dict[str, tuple[str, int | None]]:
    """Kind of server → state and process id, as `topshelf services status` has them."""
    rows: list[dict[str, Any]] = json.loads(topshelf("services", "status", "--json").stdout)
    return {row["kind"]: (row["state"], row["pid"]) for row in rows}


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def endpoint(topshelf: Topshelf, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address for a DynamoDB Local, set for all homes; the server of the test's home is stopped in the end."""
    require_jars(DYNAMODB)
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("TOPSHELF_DYNAMODB__ENDPOINT", address)
    monkeypatch.setenv("TOPSHELF_SCYLLA__PORT", str(free_port()))
    monkeypatch.setenv("TOPSHELF_STORE", "dynamodb")
    home = os.environ["TOPSHELF_HOME"]
    yield address
    monkeypatch.setenv("TOPSHELF_HOME", home)
    topshelf("services", "down")


def test_a_server_from_up_to_down(
    topshelf: Topshelf, home: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert states(topshelf)["dynamodb"] == ("down", None)
    result = topshelf("services", "up")
    assert result.stdout.startswith(f"DynamoDB Local is up: {endpoint}, process ")
    assert result.stdout.endswith("\nnext: TOPSHELF_STORE=dynamodb make run\n")
    state, pid = states(topshelf)["dynamodb"]
    assert state == "up"
    assert pid is not None
    assert topshelf("store", "check").exit_code == 0

    assert f"was up already: {endpoint}, process {pid}, " in topshelf("services", "up").stdout

    # Another home neither starts a second one nor stops this one.
    monkeypatch.setenv("TOPSHELF_HOME", str(home.parent / "other"))
    refused = topshelf("services", "up")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "something else listens on 127.0.0.1:" in refused.stderr
    assert "set dynamodb.endpoint to another port" in refused.stderr
    assert states(topshelf)["dynamodb"] == ("taken", None)
    assert "DynamoDB Local was not up\n" in topshelf("services", "down").stdout
    monkeypatch.setenv("TOPSHELF_HOME", str(home))
    assert states(topshelf)["dynamodb"] == ("up", pid)

    # Killed, it is down; up again, it has what it had.
    with open_store(load(os.environ).settings) as store:
        store.swap_control(None, Control.first("s"))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: states(topshelf)["dynamodb"] == ("down", None))
    assert "DynamoDB Local is up: " in topshelf("services", "up").stdout
    with open_store(load(os.environ).settings) as store:
        assert store.read_control() == Control.first("s")

    others = "Cassandra was not up\nKafka was not up\nSpark was not up\n"
    assert topshelf("services", "down").stdout == f"DynamoDB Local stopped\n{others}"
    assert states(topshelf)["dynamodb"] == ("down", None)
    assert capfd.readouterr() == ("", "")


def test_a_kafka_comes_up_with_its_topic_and_keeps_it(
    topshelf: Topshelf, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_jars(KAFKA)
    brokers = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("TOPSHELF_KAFKA__BROKERS", brokers)
    monkeypatch.setenv("TOPSHELF_KAFKA__TIMEOUT_MS", "10000")
    monkeypatch.setenv("TOPSHELF_EVENTLOG__KIND", "kafka")
    try:
        result = topshelf("services", "up", "kafka")
        assert result.exit_code == 0, result.stderr
        assert result.stdout.startswith(f"Kafka is up: {brokers}, process ")
        assert "topic made" in result.stdout
        settings = load(os.environ).settings
        with closing(open_eventlog(settings, "w", time.time)) as log:
            log.append([{"event_id": "e1", "user_id": "ann"}])
        topshelf("services", "down", "kafka")
        assert topshelf("services", "up", "kafka").exit_code == 0
        (batch,) = open_eventlog_reader(settings).read({})
        assert [json.loads(record.value or b"")["event_id"] for record in batch.records] == ["e1"]
    finally:
        topshelf("services", "down", "kafka")


def test_a_spark_is_up_once_its_workers_are_and_goes_whole(
    topshelf: Topshelf, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"spark://127.0.0.1:{free_port()}"
    monkeypatch.setenv("TOPSHELF_SPARK__MASTER", address)
    try:
        result = topshelf("services", "up", "spark")
        assert result.exit_code == 0, result.stderr
        assert result.stdout.startswith(f"Spark is up: {address}, process ")
        state, pid = states(topshelf)["spark"]
        assert state == "up"
        pids = [json.loads(note.read_text())["pid"] for note in (home / "services" / "spark").rglob("running.json")]
        assert len(pids) == 3

        # Without one of its workers it is not what was asked for; asked again, it is whole again.
        os.kill(next(one for one in pids if one != pid), signal.SIGKILL)
        wait_until(lambda: states(topshelf)["spark"] == ("silent", pid))
        assert topshelf("services", "up", "spark").stdout.startswith("Spark is up: ")
        assert states(topshelf)["spark"][0] == "up"
    finally:
        topshelf("services", "down", "spark")
    assert states(topshelf)["spark"] == ("down", None)
    assert not list((home / "services" / "spark").rglob("running.json"))
