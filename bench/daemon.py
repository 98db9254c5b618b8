"""A real Dagster daemon and a real webhook, for the time of a measurement."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg

from bench.timeline import Timeline
from bench.unattended_location import LOCATION
from dagster_project.arrivals import UNDER_WAY
from dagster_project.instance import prepare_instance


@dataclass
class Told:
    """Alerts as a webhook got them."""

    alerts: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[str]:
        return [alert["text"] for alert in self.alerts if alert["kind"] == kind]


class Daemon:
    """A Dagster daemon and its code server, in a process group of their own."""

    def __init__(self, timeline: Timeline, log: Path) -> None:
        self._timeline, self._log = timeline, log
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        settings = self._timeline.settings
        home = prepare_instance(settings).absolute()
        environment = {**os.environ, "DAGSTER_HOME": str(home), "TOPSHELF_HOME": str(settings.home.absolute())}
        programs, port = Path(sys.executable).parent, str(_free_port())
        root = str(Path(__file__).parents[1])
        # One code server that stays: by itself the daemon starts another every minute, which imports everything anew.
        server = ["dagster", "api", "grpc", "-m", LOCATION, "-d", root, "--port", port, "--location-name", LOCATION]
        daemon = ["dagster-daemon", "run", "--grpc-host", "localhost", "--grpc-port", port]
        with self._log.open("ab") as log:
            for name, *arguments in (server, daemon):
                leader = self._processes[0].pid if self._processes else 0
                self._processes.append(
                    subprocess.Popen(
                        [str(programs / name), *arguments],
                        env=environment,
                        stdout=log,
                        stderr=log,
                        process_group=leader,
                    )
                )

    def kill(self) -> None:
        """Them and all that they started, as when a machine loses its power."""
        if self._processes:
            os.killpg(self._processes[0].pid, signal.SIGKILL)
            for process in self._processes:
                process.wait()
        self._processes = []

    def busy(self) -> bool:
        return bool(self._count(UNDER_WAY))

    def failed(self) -> int:
        return self._count([dg.DagsterRunStatus.FAILURE])

    def wait_for_a_run(self) -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not self._count([dg.DagsterRunStatus.STARTED]):
            time.sleep(1)
        time.sleep(15)

    def _count(self, statuses: Sequence[dg.DagsterRunStatus]) -> int:
        with dg.DagsterInstance.from_config(str(self._timeline.settings.dagster_home)) as instance:
            return instance.get_runs_count(dg.RunsFilter(statuses=statuses))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def webhook(told: Told) -> Iterator[str]:
    """A receiver of alerts for the time of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.alerts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """What came is told at the end."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/alerts"
    finally:
        server.shutdown()
        server.server_close()
