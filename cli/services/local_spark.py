"""The Spark cluster of a home folder, for people: at the address of spark.master, or the usual one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cli.services.local import State, Status, alone
from cli.services.process import PortTaken, Running
from cli.services.programs import LOOPBACK, listens
from cli.services.spark import Cluster
from conf.errors import ConfigError
from conf.settings import Settings

KIND = "spark"
TITLE = "Spark"
USUAL_PORT = 7077
_HERE = re.compile(rf"spark://(?:{re.escape(LOOPBACK)}|localhost):(\d+)")


def cluster(settings: Settings, env: Mapping[str, str]) -> Cluster:
    return Cluster(settings.home / "services" / KIND, env)


def master_port(settings: Settings) -> int:
    """The port that spark.master gives a master on this machine; the usual one where it names none at all.

    Raises:
        ConfigError: it names another machine.
    """
    master = settings.spark.master
    found = _HERE.fullmatch(master)
    if found:
        return int(found[1])
    if master.startswith("local"):
        return USUAL_PORT
    raise ConfigError(
        f"spark.master is {master}: `topshelf services` runs servers at {LOOPBACK} only. Set it to "
        f"spark://{LOOPBACK}:{USUAL_PORT}, or leave this cluster to whoever runs it"
    )


def up(settings: Settings, env: Mapping[str, str]) -> tuple[Running, bool]:
    """Start the master and its workers, unless all are up. Returns the master, and whether they were up.

    Raises:
        ConfigError: the settings name no address on this machine, or there is no Java.
        PortTaken: something else listens there.
        ServerSilent, ServerEnded: one of them does not answer; none is left running.
    """
    port, ours = master_port(settings), cluster(settings, env)
    with alone(ours.folder):
        running = ours.master.running()
        if running is not None and running.port == port and ours.complete():
            return running, True
        try:
            return ours.start(port), False
        except PortTaken as error:
            raise PortTaken(
                f"{error}. If it is the Spark of another home folder, use it as it is. Otherwise end it, or set "
                "spark.master to another port"
            ) from None


def down(settings: Settings, env: Mapping[str, str]) -> bool:
    """End what `up` started here; whether there was a master."""
    ours = cluster(settings, env)
    if not ours.folder.exists():
        return False
    with alone(ours.folder):
        return ours.stop()


def status(settings: Settings, env: Mapping[str, str]) -> Status:
    ours = cluster(settings, env)
    running = ours.master.running()
    address = settings.spark.master if running is None else f"spark://{LOOPBACK}:{running.port}"
    return Status(
        KIND,
        TITLE,
        _state(settings, ours, running),
        address,
        None if running is None else running.pid,
        str(ours.folder),
    )


def _state(settings: Settings, ours: Cluster, running: Running | None) -> State:
    if running is not None:
        return "up" if ours.complete() else "silent"
    try:
        port = master_port(settings)
    except ConfigError:
        return "elsewhere"
    return "taken" if listens(port) else "down"
