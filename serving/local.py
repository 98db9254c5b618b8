"""The real service, started for the time of a `with` block."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from conf.errors import PermanentError, RetryableError
from conf.rules import Rules
from conf.settings import Settings
from serving.launch import GRACEFUL_SECONDS, prepare

START_SECONDS = 30.0
_POLL_SECONDS = 0.02


class ServiceFailed(RetryableError):
    """The service did not come up; the text has what it said last."""


@contextmanager
def serve_once(
    settings: Settings, rules: Rules, env: Mapping[str, str] | None = None, wait_ready: bool = True
) -> Iterator[str]:
    """Run gunicorn with all its workers on a free port of this machine, and yield its base URL.

    wait_ready: wait until /readyz says so; otherwise only until the service answers at all.

    Raises:
        ServiceFailed: it stopped, or was not ready in time.
        PermanentError: it was not ready in time, for a reason that stays until somebody puts it right.
    """
    serving = settings.serving.model_copy(update={"host": "127.0.0.1", "port": 0})
    launch = prepare(settings.model_copy(update={"serving": serving}), rules, os.environ if env is None else env)
    said = launch.folder / "log"
    with launch.listener, said.open("wb") as log:
        process = subprocess.Popen(
            launch.command,
            env=launch.environment,
            pass_fds=[launch.listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait(process, launch.url, "/readyz" if wait_ready else "/healthz", said)
        yield launch.url
    finally:
        process.terminate()
        try:
            process.wait(GRACEFUL_SECONDS + 5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, path: str, said: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    answer, lasting = "no answer", False
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServiceFailed(f"the service stopped with {process.returncode}: {_tail(said)}")
        try:
            with urlopen(url + path, timeout=5) as response:  # noqa: S310  # an http address of ours
                if response.status == 200:
                    return
        except HTTPError as error:
            answer, lasting = str(json.loads(error.read())["detail"]), "Retry-After" not in error.headers
        except (URLError, OSError) as error:
            answer, lasting = str(error), False
        time.sleep(_POLL_SECONDS)
    failed = PermanentError if lasting else ServiceFailed
    raise failed(f"the service was not ready within {START_SECONDS:.0f} s ({answer}): {_tail(said)}")


def _tail(said: Path) -> str:
    return said.read_text(errors="replace")[-2000:]
