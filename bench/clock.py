"""A clock that a benchmark sets, and the service with that clock."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from flask import Flask

from conf.settings import Settings
from serving.gunicorn_conf import FOLDER_VARIABLE
from serving.wsgi import SETTINGS_FILE, build

CLOCK_FILE = "clock"
"""In the home folder."""
APP = "bench.clock:app()"
_TIME = struct.Struct("d")


class Clock:
    """Epoch seconds, shared by all processes that open the same file."""

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(_TIME.pack(0.0))
        with file.open("r+b") as opened:
            self._bytes = mmap.mmap(opened.fileno(), _TIME.size)

    def __call__(self) -> float:
        found: float = _TIME.unpack(self._bytes)[0]
        return found

    def set(self, seconds: float) -> None:
        self._bytes[:] = _TIME.pack(seconds)


def app() -> Flask:
    """The service with the time of its home folder; for gunicorn."""
    folder = os.environ[FOLDER_VARIABLE]
    settings = Settings.model_validate_json((Path(folder) / SETTINGS_FILE).read_bytes())
    return build(folder, Clock(settings.home / CLOCK_FILE))
