"""A Spark standalone cluster on this machine: a master and workers, out of the jars that PySpark ships."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cli.services.process import Running, Server
from cli.services.programs import ANSWER_SECONDS, LOOPBACK, SMALL_JAVA, Launch, free_port, listens
from conf.errors import PermanentError

WORKERS = 2
CORES, MEMORY = "1", "2g"
"""What each worker lends to executors, which are processes of their own; it takes neither itself."""
START_SECONDS = 120.0
_DEPLOY = "org.apache.spark.deploy"


@dataclass(frozen=True)
class _Daemon:
    """See `cli.services.programs.Daemon`."""

    title: str
    folder: Path
    command: Callable[[Launch], list[str]]
    answers: Callable[[int], bool]
    start_seconds: float = START_SECONDS


class Cluster:
    """A master and its workers, each a server over its own folder below `folder`. Nothing outlives them.

    Not safe for two callers that start it at once.
    """

    def __init__(self, folder: Path, env: Mapping[str, str], workers: int = WORKERS) -> None:
        self.folder = folder.absolute()
        self._home = spark_home()
        # A worker finds the jars of its executors by the first two; pages are at the address in SPARK_LOCAL_IP.
        found = {"SPARK_HOME": str(self._home), "SPARK_SCALA_VERSION": _scala(self._home)}
        self._env = {**env, **found, "SPARK_LOCAL_IP": LOOPBACK}
        daemon = _Daemon("Spark's master", self._home / "jars", _master_command, listens)
        self.master = Server(daemon, self.folder / "master", self._env)
        self._count = workers

    def start(self, port: int) -> Running:
        """Start the master on a port of 127.0.0.1, and workers; returns it once all are registered with it.

        Raises:
            PortTaken, ServerEnded, ServerSilent, ConfigError: as `Server.start`; nothing is left running.
        """
        self.stop()
        master = self.master.start(port)
        try:
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda worker: worker.start(free_port()), self.workers(port)))
        except BaseException:
            self.stop()
            raise
        return master

    def workers(self, port: int) -> list[Server]:
        """Those of a master on this port, which run or would."""

        def command(launch: Launch) -> list[str]:
            options = ["--host", LOOPBACK, "--webui-port", str(launch.port), "--cores", CORES, "--memory", MEMORY]
            master = f"spark://{LOOPBACK}:{port}"
            return [*_java(launch), f"{_DEPLOY}.worker.Worker", *options, "--work-dir", str(launch.data), master]

        daemon = _Daemon("Spark's worker", self._home / "jars", command, lambda page: bool(_page(page)))
        folders = [self.folder / f"worker-{number}" for number in range(1, self._count + 1)]
        return [Server(daemon, folder, self._env) for folder in folders]

    def complete(self) -> bool:
        """Whether the master listens and all of its workers are registered with it."""
        master = self.master.running()
        if master is None or not listens(master.port):
            return False
        found = [worker.running() for worker in self.workers(master.port)]
        return all(worker is not None and bool(_page(worker.port)) for worker in found)

    def page(self) -> str | None:
        """Address of the master's page, which shows what runs; None where it is not known."""
        master = self.master.running()
        workers = [] if master is None else [worker.running() for worker in self.workers(master.port)]
        return next((_page(worker.port) for worker in workers if worker is not None), None)

    def stop(self) -> bool:
        """End all of it; whether a master was there to end.

        Raises:
            ServerSilent: not even a kill ended one of them.
        """
        for worker in self.workers(0):
            worker.stop()
        return self.master.stop()


def spark_home() -> Path:
    """PySpark's folder, which holds a whole Spark.

    Raises:
        PermanentError: PySpark is not installed.
    """
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise PermanentError("PySpark is not installed: run `make clean` and set up again")
    return Path(spec.origin).parent


def _scala(home: Path) -> str:
    (core,) = (home / "jars").glob("spark-core_*.jar")
    return core.name.removeprefix("spark-core_").partition("-")[0]


def _master_command(launch: Launch) -> list[str]:
    # Its other door, for submissions by HTTP, has a port of its own and is of no use here.
    options = ["--host", LOOPBACK, "--port", str(launch.port), "--webui-port", "0"]
    return [*_java(launch), "-Dspark.master.rest.enabled=false", f"{_DEPLOY}.master.Master", *options]


def _java(launch: Launch) -> list[str]:
    return [*SMALL_JAVA, f"-Djava.io.tmpdir={launch.data}", "-cp", f"{launch.jars}/*"]


def _page(port: int) -> str | None:
    """The page of the master with which the worker that has its page on this port is registered; None: it is not."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/json/")
        state = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return state.get("masterwebuiurl") or None
