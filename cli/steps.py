"""The steps of a tour: each a command as one would type it, timed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.markup import escape

from cli.context import Context
from cli.output import table
from conf.errors import DataError
from jobs.lake import write_json
from jobs.tables import IMPORTS

MARK = "tour.json"


def claim(context: Context, source: Path) -> None:
    """Note in the home folder which data it is for.

    Raises:
        DataError: it holds other data already; two data sets in one home would mix.
    """
    from cli.query import Query

    home, wanted = context.settings.home, str(source.resolve())
    mark = home / MARK
    held = json.loads(mark.read_text())["data"] if mark.exists() else None
    if held is None and Query(context.settings.lake_root, context.rules).written(IMPORTS):
        held = "an earlier `topshelf import`"
    if held not in (None, wanted):
        raise DataError(
            f"{home} already holds the data of {held}, and {wanted} would mix with it: "
            "set TOPSHELF_HOME to another folder, or remove this one"
        )
    home.mkdir(parents=True, exist_ok=True)
    write_json(mark, {"data": wanted})


class Steps:
    """Runs the steps, each sub-command in a process of its own, so that one Spark lives at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._times: list[tuple[str, float | None]] = []

    def call(self, name: str, *command: str, unless: bool = False) -> None:
        """Run `topshelf COMMAND`; `unless` it is there already. A failure ends the tour with its exit code."""
        line = " ".join(["topshelf", *command])
        if unless:
            self._context.console.print(f"\n[bold]{name}[/]: there already, from an earlier tour")
            self._times.append((name, None))
            return
        with self.timed(name, escape(f"$ {line}")):
            sys.stdout.flush()
            done = subprocess.run(
                [sys.executable, "-m", "cli.main", *command], env=self._context.child_environment(), check=False
            )
        if done.returncode:
            click.echo(f"the tour ends here: `{line}` failed (exit code {done.returncode})", err=True)
            raise click.exceptions.Exit(done.returncode)

    @contextmanager
    def timed(self, name: str, what: str) -> Iterator[None]:
        console = self._context.console
        console.print(f"\n[bold]{name}[/]: {what}", soft_wrap=True)
        started = time.monotonic()
        yield
        seconds = time.monotonic() - started
        self._times.append((name, seconds))
        console.print(f"[dim]{name}: {seconds:.1f} s[/]")

    def print_times(self, total: float) -> None:
        """Every step's wall time, and that of the whole."""
        body = [(name, "there already" if seconds is None else f"{seconds:.1f}") for name, seconds in self._times]
        self._context.console.print(table(["step", "seconds"], [*body, ("all", f"{total:.1f}")], [1], "Wall times"))
