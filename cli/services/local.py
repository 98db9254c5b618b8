"""The servers of a home folder, for people: at the addresses of the settings, with data that stay."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cli.ivy import fetch, in_place, install
from cli.services.process import PortTaken, Running, Server, ServerSilent
from cli.services.programs import LOOPBACK, PROGRAMS, Program, listens
from conf.errors import ConfigError, PermanentError
from conf.settings import Settings
from stores.eventlog.kafka import create_topic
from stores.opening import open_store

State = Literal["up", "silent", "down", "taken", "elsewhere"]
"""It answers; it runs, but does not answer; it does not run; something that `up` did not start listens at its address;
the settings name a server that is not on this machine."""


@dataclass(frozen=True)
class Status:
    kind: str
    title: str
    state: State
    address: str
    """Where it runs; else what the settings say."""
    pid: int | None
    folder: str
    """Of its data and its log."""


def chosen(settings: Settings, names: tuple[str, ...]) -> list[Program]:
    """The programs of that name; without one, that of store.kind.

    Raises:
        ConfigError: none is named, and the embedded store needs none.
    """
    if names:
        return [PROGRAMS[name] for name in dict.fromkeys(names)]
    if settings.store.kind not in PROGRAMS:
        raise ConfigError(
            f"store.kind is {settings.store.kind}, which needs no server: name one, such as "
            "`topshelf services up dynamodb`"
        )
    return [PROGRAMS[settings.store.kind]]


def provide(program: Program, env: Mapping[str, str], source: Path | None = None) -> None:
    """Put the program's jars in place, from Maven Central or a folder; raises as `cli.ivy.fetch` and `install` do."""
    if source is not None:
        install(program.jars, source, program.folder, program.lock)
    else:
        fetch(program.jars, program.folder, program.lock, env)


def provided(program: Program) -> bool:
    """Whether the program's jars are in place, just as its lock pins them."""
    return in_place(program.folder, program.lock)


def server(settings: Settings, program: Program, env: Mapping[str, str]) -> Server:
    return Server(program, settings.home / "services" / program.kind, env)


def up(settings: Settings, program: Program, env: Mapping[str, str]) -> tuple[Running, bool]:
    """Start the program's server, unless it is up, and make its tables or topic. Returns it, and whether it was up.

    Raises:
        ConfigError: the settings name no address on this machine, or there is no Java.
        PortTaken: something else listens there.
        ServerSilent, ServerEnded: it does not answer.
        TopshelfError: as `Store.create` and `create_topic`.
    """
    port = loopback_port(settings, program.kind)
    ours = server(settings, program, env)
    with alone(ours.folder):
        before = ours.running()
        running = before or _start(ours, program, port)
    if running.port != port:
        raise PermanentError(
            f"{program.title} is up on port {running.port}, and {_KEYS[program.kind]} says {port}: "
            f"`topshelf services down {program.kind}`, then up again"
        )
    if before and not program.answers(port):
        raise ServerSilent(
            f"{program.title}, process {running.pid}, runs but does not answer (its log: {ours.log}): try again, or "
            f"`topshelf services down {program.kind}`, then up again"
        )
    if program.kind == "kafka":
        create_topic(settings.kafka)
    else:
        with open_store(with_kind(settings, program.kind)) as store:
            store.create()
    return running, before is not None


def down(settings: Settings, program: Program, env: Mapping[str, str]) -> bool:
    """End the server that `up` started here; whether there was one. Data stay."""
    ours = server(settings, program, env)
    if not ours.folder.exists():
        return False
    with alone(ours.folder):
        return ours.stop()


def status(settings: Settings, program: Program, env: Mapping[str, str]) -> Status:
    ours = server(settings, program, env)
    running = ours.running()
    pid = None if running is None else running.pid
    return Status(
        program.kind,
        program.title,
        _state(settings, program, running),
        _address(settings, program.kind) if running is None else _at(program.kind, running.port),
        pid,
        str(ours.folder),
    )


def with_kind(settings: Settings, kind: str) -> Settings:
    return settings.model_copy(update={"store": settings.store.model_copy(update={"kind": kind})})


def loopback_port(settings: Settings, kind: str) -> int:
    """The port that the settings give a server of this kind, on this machine.

    Raises:
        ConfigError: the settings name another machine, several, or AWS.
    """
    hosts, port = _hosts_and_port(settings, kind)
    if port is None or any(host not in (LOOPBACK, "localhost") for host in hosts):
        raise ConfigError(
            f"{_KEYS[kind]} is {_address(settings, kind)}: `topshelf services` runs servers at {LOOPBACK} only. "
            "Set it to that address, or leave this server to whoever runs it"
            f"{'' if kind == 'kafka' else ' and go on with `topshelf store check`'}"
        )
    return port


_KEYS = {"dynamodb": "dynamodb.endpoint", "scylla": "scylla.hosts", "kafka": "kafka.brokers"}


def _hosts_and_port(settings: Settings, kind: str) -> tuple[tuple[str, ...], int | None]:
    if kind == "scylla":
        return settings.scylla.hosts, settings.scylla.port
    if kind == "kafka":
        host, _, number = settings.kafka.brokers.rpartition(":")
        return (host,), int(number) if number.isdecimal() else None
    try:
        url = urlsplit(settings.dynamodb.endpoint or "")
        return (url.hostname or "",), (url.port or 80) if url.scheme == "http" else None
    except ValueError:  # a port that is no number
        return (), None


def _at(kind: str, port: int) -> str:
    return f"http://{LOOPBACK}:{port}" if kind == "dynamodb" else f"{LOOPBACK}:{port}"


def _address(settings: Settings, kind: str) -> str:
    if kind == "scylla":
        return ", ".join(f"{host}:{settings.scylla.port}" for host in settings.scylla.hosts)
    if kind == "kafka":
        return settings.kafka.brokers
    return settings.dynamodb.endpoint or "empty, which means AWS itself"


def _state(settings: Settings, program: Program, running: Running | None) -> State:
    if running is not None:
        return "up" if program.answers(running.port) else "silent"
    try:
        port = loopback_port(settings, program.kind)
    except ConfigError:
        return "elsewhere"
    return "taken" if listens(port) else "down"


def _start(ours: Server, program: Program, port: int) -> Running:
    try:
        return ours.start(port)
    except PortTaken as error:
        key = "scylla.port" if program.kind == "scylla" else _KEYS[program.kind]
        made = f": `TOPSHELF_STORE={program.kind} topshelf store create` makes the tables"
        raise PortTaken(
            f"{error}. If it is the {program.title} of another home folder, use it as it is"
            f"{'' if program.kind == 'kafka' else made}. Otherwise end it, or set {key} to another port"
        ) from None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One caller at a time for a server's folder; the lock goes when the process does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
