"""`topshelf upkeep`: what the nightly job does, now."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from cli.context import Context, pass_context, set_option


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, one object a table.")
@set_option
@pass_context
def upkeep(context: Context, as_json: bool) -> None:
    """Make room: drop old partitions, join small files, remove replaced files and those of old models.

    The schedule every_night does the same. retention.* says what is kept; what a live generation was made from stays,
    whatever its age, and so do all events, of which features are made.

    \b
    topshelf upkeep
    topshelf upkeep --set retention.lists_days=7
    """
    from cli.output import table
    from jobs.maintenance import run
    from stores.opening import open_store

    with open_store(context.settings) as store:
        control = store.read_control()
    done = run(context.lake(), context.settings, control, context.now(), lambda text: click.echo(text, err=True))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in done], indent=1))
        return
    body = [
        (each.name, f"{each.dropped:,}", f"{each.joined:,}", f"{each.before / 1e6:,.1f}", f"{each.after / 1e6:,.1f}")
        for each in done
    ]
    context.console.print(table(["", "dropped", "files joined", "MB before", "MB after"], body, [1, 2, 3, 4]))
    freed = sum(each.before - each.after for each in done)
    context.console.print(f"{freed / 1e6:,.1f} MB freed", markup=False)
