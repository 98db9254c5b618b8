"""gunicorn's hooks; its options are on the command line that serving.launch makes."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def on_starting(server: Any) -> None:
    """The code is loaded before the fork: a worker that takes a dead one's place starts without that half second, and
    all share its memory. Nothing connects at import."""
    import_module("serving.wsgi")


def child_exit(server: Any, worker: Any) -> None:
    """A dead worker's gauges no longer count; its counters do."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  # needs the folder that is set by now

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # the library has no annotation here
