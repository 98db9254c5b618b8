"""Dagster's own launcher of runs on this machine, which also knows whether a run's process is still there.

Without that, a run whose process died with the machine, or was killed, counts as under way for ever, and holds the
pools that every later hour waits for. Run monitoring asks, and marks such runs as failed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.dagster_run import DagsterRun
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

PROCESS_TAG = "topshelf/process"
"""Run tag: host and process of a run that no code server started."""
ASKED_SECONDS = 30
GONE = "UNAVAILABLE"
"""What gRPC says where nobody listens any more; one that is late is told of otherwise."""


def process_tag() -> str:
    """Of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class LocalRunLauncher(DefaultRunLauncher):
    """See the module. The instance file that `topshelf` makes names it."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """FAILED only where the run's process is known to be gone; one that is slow to answer is running."""
        client: DagsterGrpcClient | None = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return _by_tag(run.tags)
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=ASKED_SECONDS)
        except DagsterUserCodeUnreachableError as error:
            if GONE in str(error):
                return CheckRunHealthResult(WorkerStatus.FAILED, "the code server that started it is gone")
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"not known: {error}")
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "its process ended without saying so")


def _by_tag(tags: Mapping[str, str]) -> CheckRunHealthResult:
    host, _, pid = tags.get(PROCESS_TAG, "").rpartition(":")
    if host == socket.gethostname() and not _alive(int(pid)):
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {pid} is gone")
    return CheckRunHealthResult(WorkerStatus.RUNNING)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else has it
    return True
