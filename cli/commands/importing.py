"""`topshelf import` and `topshelf demo-world`: data comes in."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from cli.context import Context, pass_context, set_option
from conf.errors import PermanentError

if TYPE_CHECKING:
    from rich.console import Console

    from jobs.imports.profile import Profile
    from jobs.imports.report import ImportReport


@click.command("import")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--profile",
    type=click.Choice(["live", "historical"]),
    help="Take the data for a live stream or for a finished record. Without it the newest event's age decides.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as a JSON object.")
@set_option
@pass_context
def import_(context: Context, folder: Path, profile: Profile | None, as_json: bool) -> None:
    """Read the data in DIR into the lake.

    DIR holds MovieLens files (movies.csv and ratings.csv, the older .dat files, or u.item and u.data) or our own
    layout: items, events and, if there are any, users, each as CSV or Parquet. docs/data.md describes every column.

    Rows that cannot be taken go to the rejects table with file, line and reason. When a file has too many of them,
    nothing is imported. The same folder twice changes nothing; a changed one adds what is new.

    \b
    topshelf import ml-latest-small
    topshelf --set data.max_reject_share=0.2 import my-data
    topshelf sql "SELECT file, line, reason, row FROM rejects"
    """
    from dagster_project.imported import tell
    from jobs.imports.run import run

    with _progress(context.console, quiet=as_json) as say:
        say("starting Spark")
        lake = context.lake()
        report = run(lake, folder, context.settings, context.now(), profile=profile, progress=say)
        say("telling Dagster")
        tell(context.settings, lake, report)
    if as_json:
        click.echo(json.dumps(_jsonable(report), indent=1, ensure_ascii=False))
        return
    _print_report(context.console, report, context.settings.lake_root)


@click.command("demo-world")
@click.argument("out", metavar="OUT", type=click.Path(file_okay=False, path_type=Path))
@click.option("--users", default=5_000, show_default=True, type=click.IntRange(min=1), help="Users.")
@click.option("--items", default=2_000, show_default=True, type=click.IntRange(min=1), help="Items.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(min=1), help="Days of events.")
@click.option("--seed", type=int, help="Seed; equal arguments give equal files.  [default: the setting `seed`]")
@click.option("--end", help="Where the events end, such as 2026-11-23T05 (UTC).  [default: the last full hour]")
@set_option
@pass_context
def demo_world(
    context: Context, out: Path, *, users: int, items: int, days: int, seed: int | None, end: str | None
) -> None:
    """Make a demo data set in the folder OUT, ready for `topshelf import OUT`.

    A made-up streaming service: users with tastes and habits, a catalogue with new releases and licences, and
    what was shown, clicked, watched, rated and refused.

    \b
    topshelf demo-world demo --users 2000 --days 14
    """
    from conf.hours import Hour
    from sim.world import make_world

    stop = Hour.of(context.now()) if end is None else Hour.parse(end)
    started = time.monotonic()
    with _progress(context.console) as say:
        say(f"making {users:,} users, {items:,} items and {days} days")
        seed = context.settings.seed if seed is None else seed
        try:
            world = make_world(out, users, items, days, seed, end=stop.start)
        except OSError as error:
            raise PermanentError(f"the demo world cannot be written to {out}: {error.strerror or error}") from error
    from cli.output import table

    body = [(name, f"{count:,}") for name, count in {"users": users, "items": items, **world.events}.items()]
    context.console.print(table(["rows of", "count"], body, [1], f"Demo world in {_short(out)}"))
    context.console.print(
        f"From {Hour.of(world.start)} to {Hour.of(world.end)}, made in {time.monotonic() - started:.1f} s.\n"
        f"Now type: topshelf import {_short(out)}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


@contextmanager
def _progress(console: Console, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Say what is being done: a moving line in a terminal, a line of its own elsewhere."""
    started = time.monotonic()
    if console.is_terminal and not quiet:
        with console.status("") as status:
            yield lambda text: status.update(escape(text))
        return
    yield lambda text: click.echo(f"{time.monotonic() - started:7.1f} s  {text}", err=quiet)


def _print_report(console: Console, report: ImportReport, lake_root: str) -> None:
    from cli.output import table

    title = f"{report.source} ({report.layout} layout)"
    files = [(f.name, f"{f.read:,}", f"{f.rejected:,}", f"{f.new:,}") for f in report.files]
    console.print(table(["file", "rows read", "rejected", "new or changed"], files, [1, 2, 3], title))
    if report.rejects:
        rows = [(reason, f"{count:,}") for reason, count in report.rejects.items()]
        console.print(table(["why rejected", "rows"], rows, [1]))
    tables = [(t.name, f"{t.new:,}", f"{t.changed:,}", f"{lake_root}/{t.name}") for t in report.tables]
    console.print(table(["table", "new rows", "changed rows", "where"], tables, [1, 2]))
    for note in report.notes:
        console.print(f"- {note}", markup=False, soft_wrap=True)
    if not report.changed:
        console.print("Nothing was new: the tables are as they were.")
    console.print("Now type:")
    if report.rejects:
        question = '"SELECT file, line, reason, row FROM rejects LIMIT 20"'
        console.print(f"  topshelf sql {question}", markup=False, soft_wrap=True)
    console.print("  topshelf run" if report.last_hour else "  topshelf import DIR, with events", markup=False)


def _jsonable(report: ImportReport) -> dict[str, object]:
    found = asdict(report)
    for name, hour in (("first_hour", report.first_hour), ("last_hour", report.last_hour)):
        found[name] = None if hour is None else _iso(hour.start)
    return found


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _short(path: Path) -> str:
    """As one would type it from here."""
    full = path.absolute()
    return os.path.relpath(full) if full.is_relative_to(Path.cwd()) else str(full)
