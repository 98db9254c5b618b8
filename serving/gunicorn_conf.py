"""gunicorn's hooks; its options are on the command line that serving.launch makes."""

from __future__ import annotations

import os
from typing import Any

FOLDER_VARIABLE = "TOPSHELF_SERVE_FOLDER"
"""Of the run: what the workers read."""


def on_starting(server: Any) -> None:
    """The code is loaded before the fork, the chosen store's client too: a worker starts in a fraction of the second
    that takes, and all share its memory. Nothing connects."""
    from serving.wsgi import preload  # noqa: PLC0415  # the hooks below are read where nothing else is there yet

    preload(os.environ[FOLDER_VARIABLE])


def child_exit(server: Any, worker: Any) -> None:
    """A dead worker's gauges no longer count; its counters do."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  # needs the folder that is set by now

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # the library has no annotation here
