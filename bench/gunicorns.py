"""gunicorns for the time of a measurement: the service, and hello-world with the very same options."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from bench.memory import anonymous_bytes, tree
from conf.errors import RetryableError
from conf.rules import Rules
from conf.settings import Settings
from serving.launch import prepare

HELLO = "bench.hello:app"
START_SECONDS = 60.0
_POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Running:
    address: tuple[str, int]
    started_in: float
    """Seconds from the start of the process to its first good answer."""
    pid: int

    def worker_bytes(self) -> float:
        """Anonymous memory of a worker, the mean; what is mapped from files is shared and not counted."""
        workers = tree(self.pid)[1:]
        return sum(map(anonymous_bytes, workers)) / len(workers)


@contextmanager
def gunicorn(settings: Settings, rules: Rules, app: str | None = None) -> Iterator[Running]:
    """Start the service, or another `app` in its place, on a free port of this machine.

    Raises:
        RetryableError: it does not come up.
    """
    serving = settings.serving.model_copy(update={"host": "127.0.0.1", "port": 0})
    launch = prepare(settings.model_copy(update={"serving": serving}), rules, os.environ)
    command = launch.command if app is None else [*launch.command[:-1], app]
    with launch.listener, (launch.folder / "log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env=launch.environment, pass_fds=[launch.listener.fileno()], stdout=log, stderr=log
        )
    try:
        _wait(process, launch.url + ("/" if app == HELLO else "/readyz"))
        url = urlsplit(launch.url)
        assert url.hostname is not None  # we made the address
        assert url.port is not None
        yield Running((url.hostname, url.port), time.perf_counter() - began, process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(url, timeout=1):  # noqa: S310  # an http address of ours
                return
        except (URLError, OSError):
            time.sleep(_POLL_SECONDS)
    raise RetryableError(f"{url} did not answer; the last exit code is {process.poll()}")
