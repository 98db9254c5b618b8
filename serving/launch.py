"""The command that runs the service under gunicorn, and the folder it needs while it runs."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conf.errors import ConfigError
from conf.rules import Rules
from conf.settings import Settings
from serving.gunicorn_conf import FOLDER_VARIABLE
from serving.metrics import MULTIPROCESS_VARIABLE
from serving.wsgi import RULES_FILE, SETTINGS_FILE

GRACEFUL_SECONDS = 10
KEEP_ALIVE_SECONDS = 30
BACKLOG = 2048
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # gunicorn's heartbeat files, made by it with random names


@dataclass(frozen=True)
class Launch:
    """A gunicorn that is ready to be started. The socket is listening already, so no one can take its port."""

    command: list[str]
    environment: dict[str, str]
    listener: socket.socket
    folder: Path
    url: str


def prepare(settings: Settings, rules: Rules, env: Mapping[str, str]) -> Launch:
    """Bind the port and write what the workers read.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    listener = _listen(settings.serving.host, settings.serving.port)
    folder = _fresh_folder(settings.home / "run")
    _write(folder / SETTINGS_FILE, settings.model_dump_json())
    _write(folder / RULES_FILE, rules.model_dump_json())
    metrics = folder / "metrics"
    metrics.mkdir()
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join([root, *filter(None, [env.get("PYTHONPATH")])])
    environment = {
        **env,
        "PYTHONPATH": path,
        MULTIPROCESS_VARIABLE: str(metrics),
        FOLDER_VARIABLE: str(folder),
        # Workers and their threads share the cores as it is: a product of one request is best worked out by one.
        "OPENBLAS_NUM_THREADS": "1",
    }
    return Launch(_command(settings, folder, listener.fileno()), environment, listener, folder, _url(listener))


def _command(settings: Settings, folder: Path, descriptor: int) -> list[str]:
    options = {
        "--config": "python:serving.gunicorn_conf",
        "--bind": f"fd://{descriptor}",
        "--worker-class": "serving.worker.Worker",
        "--workers": settings.serving.workers,
        "--threads": settings.serving.threads,
        "--graceful-timeout": GRACEFUL_SECONDS,
        "--keep-alive": KEEP_ALIVE_SECONDS,
        "--backlog": BACKLOG,
        "--log-level": "warning",
    }
    if _SHARED_MEMORY.is_dir():
        # A heartbeat on a busy disk may take long enough for a worker to be taken for dead.
        options["--worker-tmp-dir"] = str(_SHARED_MEMORY)
    flags = [str(part) for option in options.items() for part in option]
    return [sys.executable, "-m", "gunicorn", *flags, f"serving.wsgi:build({str(folder)!r})"]


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another with --set serving.port=…"
        ) from error
    listener.set_inheritable(True)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _fresh_folder(parent: Path) -> Path:
    """A folder for this run, named after this process: exec keeps the number. Those of dead runs are removed."""
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob("serve-*"):
        number = old.name.split("-")[1]
        if not (Path("/proc") / number).exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"serve-{os.getpid()}-", dir=parent))


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
