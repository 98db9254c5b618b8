"""`topshelf tour`: what `make run` calls once everything is installed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from cli.context import Context, pass_context, set_option

HOMES = "homes"


@click.command()
@click.argument("data", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@set_option
@pass_context
def tour(context: Context, data: Path | None) -> None:
    """Go the whole way once: data, import, one hour, service, two users' recommendations.

    Without DATA a demo world is made. With DATA, a folder of your own (docs/data.md says in which form), state is
    kept apart in var/homes/FOLDER-NAME, unless TOPSHELF_HOME says where. A second tour reuses what is there.
    """
    started = time.monotonic()
    context = _in_own_home(context, data)
    home = context.settings.home
    from cli.showcase import showcase
    from cli.steps import Steps, claim

    source = data if data is not None else home / "demo"
    claim(context, source)
    context.console.print(f"State is kept in {_short(home)}.")
    steps = Steps(context)
    if data is None:
        steps.call("demo world", "demo-world", _short(source), unless=_demo_is_there(source))
    if context.settings.store.kind != "embedded":
        steps.call("store", "store", "create")
    steps.call("import", "import", _short(source))
    steps.call("one hour", "run", *(_live_hour(context) if data is None else ()))
    showcase(context, steps)
    steps.print_times(time.monotonic() - started)
    _say_what_next(context)


def _in_own_home(context: Context, data: Path | None) -> Context:
    """With data of one's own and no TOPSHELF_HOME, a home named after the folder."""
    if data is None or "TOPSHELF_HOME" in context.env:
        return context
    home = Path("var", HOMES, data.resolve().name)
    return Context({**context.env, "TOPSHELF_HOME": str(home)}, context.overrides, context.verbose)


def _demo_is_there(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _live_hour(context: Context) -> tuple[str, ...]:
    """A demo world does not grow: once an hour of it is live, a later tour stays with that hour."""
    from cli.query import Query
    from jobs.tables import PUBLICATIONS

    query = Query(context.settings.lake_root, context.rules)
    if not query.written(PUBLICATIONS):
        return ()
    found = query.ask("SELECT strftime(max(hour), '%Y-%m-%dT%H') AS hour FROM attempts WHERE state = 'current'")
    hour = found.to_arrow_table().to_pylist()[0]["hour"]
    return ("--hour", hour) if hour else ()


def _short(path: Path) -> str:
    """As one would type it from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _say_what_next(context: Context) -> None:
    say = context.console.print
    say("\nNow type:")
    if not os.environ.get("VIRTUAL_ENV"):
        say("  source .venv/bin/activate")
    if context.settings.home != Path("var").absolute():
        say(f"  export TOPSHELF_HOME={_short(context.settings.home)}")
    for command, meaning in (
        ("topshelf serve", "the service, on http://127.0.0.1:8000"),
        ("topshelf ui", "the pipeline and its runs, in a browser"),
        ("topshelf recs USER", "one user's recommendations"),
        ('topshelf sql "SELECT * FROM recommendation_items LIMIT 20"', "the tables, in SQL"),
        ("topshelf --help", "all commands"),
    ):
        say(f"  {command:<61}{meaning}", markup=False, soft_wrap=True)
