"""A step in a process of its own, started by spark-submit and told of through Dagster Pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pyspark

from assets import reporting
from assets.resources import Topshelf
from conf.errors import RetryableError
from conf.settings import Settings
from jobs.spark import executors_python, spark_conf

ROOT = Path(__file__).parents[1]
RUNNER = ROOT / "dagster_project" / "run_step.py"
SPARK_HOME = Path(pyspark.__file__).parent
END_SECONDS = 20
"""For a step that is told to end."""
_LEFT = os.WEXITED | os.WNOWAIT
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


class Submission(RetryableError):
    """The step's process ended before it told how the step went: killed, out of memory, or never started."""


def submit(context: dg.AssetExecutionContext, topshelf: Topshelf) -> Iterator[Any]:
    """Run an asset's body in a process that spark-submit starts; yields what it reported, also before it failed.

    Settings travel in a file that only this user can read. The process ends when this one does.

    Raises:
        TopshelfError: of the class and with the text that the step failed with; RetryableError when it was killed.
    """
    settings, name = topshelf.settings(), context.asset_key.to_user_string()
    sent = {
        "asset": name,
        "settings": settings.model_dump_json(),
        "tags": dict(context.run.tags),
        "process": os.getpid(),
    }
    with TemporaryDirectory() as folder, open_session(context, sent) as session:
        properties = Path(folder) / "spark.properties"
        properties.write_text(_properties(settings), encoding="utf-8")
        command = [str(SPARK_HOME / "bin" / "spark-submit"), "--name", f"topshelf {name}"]
        code = _run([*command, "--properties-file", str(properties), str(RUNNER)], _environment(session))
    yield from told(context, session)
    if code:
        raise Submission(f"spark-submit ended with {code} before {name} told how it went: see what it wrote to stderr")


@contextmanager
def open_session(context: dg.AssetExecutionContext, sent: Mapping[str, Any]) -> Iterator[dg.PipesSession]:
    """A session of Dagster Pipes over temporary files; `sent` is what the other process finds as extras."""
    with ExitStack() as opened:
        with warnings.catch_warnings():
            # Dagster's own Pipes use what Dagster deprecates, and what it calls a preview.
            warnings.simplefilter("ignore")
            session = opened.enter_context(
                dg.open_pipes_session(
                    context, dg.PipesTempFileContextInjector(), dg.PipesTempFileMessageReader(), extras=dict(sent)
                )
            )
        yield session


def told(context: dg.AssetExecutionContext, session: dg.PipesSession) -> Iterator[Any]:
    """What a process that has ended told of its step: yields its results, and tags the run.

    Raises:
        TopshelfError: the step told that it failed.
    """
    for result in session.get_results(implicit_materializations=False):
        yield reporting.received(result)
    for message in session.get_custom_messages():
        if reporting.TAGS in message:
            context.instance.add_run_tags(context.run.run_id, message[reporting.TAGS])
        if reporting.FAILURE in message:
            raise reporting.raised(message[reporting.FAILURE])


def _properties(settings: Settings) -> str:
    pythons = {"spark.pyspark.driver.python": sys.executable, "spark.pyspark.python": executors_python(settings)}
    conf = {**spark_conf(settings, os.environ), **pythons}
    return "".join(f"{key}={value.translate(_ESCAPES)}\n" for key, value in conf.items())


def _environment(session: dg.PipesSession) -> dict[str, str]:
    # Python would put the script's own folder, whose modules have common names, before all others.
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    ours = {"SPARK_HOME": str(SPARK_HOME), "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    return {**os.environ, **ours, **session.get_bootstrap_env_vars()}


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Exit code of a command, as subprocess has it. Nothing that it started on this machine is left.

    Its output is our standard error, where it does not stand among what a command of ours prints.
    """
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=2, stderr=2, start_new_session=True
    )
    try:
        os.waitid(os.P_PID, process.pid, _LEFT)
    finally:
        # Not reaped yet, so that the number of its group is nobody else's.
        if os.waitid(os.P_PID, process.pid, _LEFT | os.WNOHANG) is None:
            os.killpg(process.pid, signal.SIGTERM)
            _wait(process.pid, END_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode


def _wait(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while os.waitid(os.P_PID, pid, _LEFT | os.WNOHANG) is None and time.monotonic() < deadline:
        time.sleep(0.1)
