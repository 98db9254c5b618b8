"""`topshelf generations`, `topshelf generations mark-bad G` and `topshelf rollback`."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cli.context import Context, pass_context, set_option

if TYPE_CHECKING:
    from jobs.rollback import Change
    from stores.control import Control

SHOWN = 20


@click.group(invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help=f"All attempts, not only the newest {SHOWN}.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, newest first.")
@set_option
@click.pass_context
def generations(ctx: click.Context, everything: bool, as_json: bool) -> None:
    """Show every publication: its state, age, rows, size, model and cost.

    planned, loading, loaded, verified: under way. current: what readers see. retired: was current. aborted: readers
    never saw it. bad: readers must not see it again.
    """
    if ctx.invoked_subcommand is not None:
        return
    context = ctx.ensure_object(Context)
    found = _attempts(context)
    if not everything:
        found = found[:SHOWN]
    if as_json:
        from cli.output import jsonable

        click.echo(json.dumps([{key: jsonable(value) for key, value in row.items()} for row in found], indent=1))
        return
    _print(context, found)


@generations.command("mark-bad")
@click.argument("generation", type=click.IntRange(min=1))
@set_option
@pass_context
def mark_bad_command(context: Context, generation: int) -> None:
    """Never show GENERATION again; where it is the current one, readers go back to the good one before it.

    Its users get the list they had before, at once; the next run brings them up to date.
    """
    from jobs.rollback import mark_bad
    from stores.opening import open_store

    with open_store(context.settings) as store:
        started = time.perf_counter()
        change = mark_bad(context.settings, store, generation)
        _tell(context, change, f"generation {generation} is bad", time.perf_counter() - started)


@click.command()
@click.option("--to", type=click.IntRange(min=1), help="The generation to go back to [the good one before this].")
@click.option("--force", is_flag=True, help="Even where it leaves users without a list.")
@set_option
@pass_context
def rollback(context: Context, to: int | None, force: bool) -> None:
    """Send readers back to an earlier generation, at once.

    One small write: no list is rewritten. Every later generation is bad from then on, and a load that is under way
    ends. The tables published and publications follow with the next run, which also brings up to date every user whom
    those generations had touched.
    """
    from jobs.rollback import roll_back
    from stores.opening import open_store

    settings = context.settings
    with open_store(settings) as store:
        started = time.perf_counter()
        change = roll_back(settings, settings.lake_root, store, to, force)
        _tell(context, change, f"back from generation {change.before.current}", time.perf_counter() - started)


def _tell(context: Context, change: Change, what: str, seconds: float) -> None:
    from conf.errors import TopshelfError
    from jobs.alerts import Alert, send

    live = change.after.generation()
    assert live is not None  # there is one to go back to
    say = context.console.print
    say(f"{what}: readers see generation {live.number} of {live.hour} ({seconds * 1000:.0f} ms)", markup=False)
    if change.before.lease is not None and change.after.lease is None:
        say(f"the load of attempt {change.before.lease} was ended", markup=False)
    if change.without_list:
        say(f"{change.without_list:,} users are without a list until the next run", style="yellow", markup=False)
    try:
        send(context.settings, Alert("rollback", f"{what}: readers see generation {live.number} of {live.hour}"))
    except TopshelfError as error:
        click.echo(f"done, but nobody was told: {error}", err=True)


def _attempts(context: Context) -> list[dict[str, Any]]:
    """The ledger's attempts, their states corrected by the store's control record."""
    from jobs.rollback import attempts
    from stores.opening import open_store

    with open_store(context.settings) as store:
        control = store.read_control()
    return [{**row, "state": _state(control, row)} for row in attempts(context.settings.lake_root)]


def _state(control: Control | None, row: dict[str, Any]) -> str:
    if control is None or row["store_id"] != control.store_id:
        return f"{row['state']} (another store)"
    return control.state_of(row["generation"], row["state"])


def _print(context: Context, found: list[dict[str, Any]]) -> None:
    from cli.output import table, wide

    if not found:
        context.console.print("nothing has been published yet: run `topshelf run`", markup=False)
        return
    now = context.now()
    body = [
        (
            row["generation"],
            row["state"],
            row["hour"].astimezone(UTC).strftime("%m-%d %H:00"),
            _age(now, row["noted_at"]),
            f"{row['written']:,} of {row['planned']:,}",
            f"{row['unchanged']:,}",
            f"{row['rejected']:,}",
            f"{row['bytes'] / 1e6:,.1f}",
            json.loads(row["manifest"])["model_version"],
            f"{row['load_seconds']:.1f}",
            f"${row['dollars']:,.4f}" if row["units"] else "–",
        )
        for row in found
    ]
    columns = ["", "state", "hour", "age", "rows written", "unchanged", "refused", "MB", "model", "load s", "cost"]
    wide(context.console).print(table(columns, body, [0, *range(4, 8), 9, 10]))
    failed = next((row for row in found if row["error"]), None)
    if failed is not None:
        context.console.print(f"{failed['generation']}: {failed['error']}", style="dim", markup=False)


def _age(now: datetime, then: datetime) -> str:
    minutes = max(int((now - then).total_seconds()) // 60, 0)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"
