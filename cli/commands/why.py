"""`topshelf why USER ITEM`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from cli.context import Context, pass_context, set_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from cli.inspecting.steps import Step

SIGNS = {
    "passed": ("✓", "green"),
    "stopped": ("✗", "red"),
    "moved": ("↕", "yellow"),
    "said": ("·", "dim"),
    "unknown": ("?", "magenta"),
}


@click.command()
@click.argument("user")
@click.argument("item")
@click.option("--no-batch", is_flag=True, help="Only what the service does: no model is loaded, an answer at once.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, with the numbers of the trace.")
@set_option
@pass_context
def why(context: Context, user: str, item: str, no_batch: bool, as_json: bool) -> None:
    """Say why ITEM is where it is on USER's home page, or is not on it.

    The service's part is made now, by the code of the service, from the store, the session and the rules. The batch's
    part scores the user again from what the served hour had read: which source had the item, whether a filter kept it
    out, what the ranker said, where the list was cut. What can no longer be known is said to be unknown.

    \b
    topshelf why user_17 movie_42
    topshelf why user_17 movie_42 --json --no-batch
    """
    from cli.inspecting.asking import ask
    from cli.inspecting.desk import Desk

    with Desk(context.settings, context.rules) as desk:
        answer = ask(desk, user, item, batch=not no_batch)
    if as_json:
        click.echo(json.dumps(answer.as_json(), ensure_ascii=False, indent=1))
        return
    console = context.console
    console.print(f"{answer.title} ({answer.item_id}) for {user}", style="bold", markup=False)
    console.print(answer.verdict, markup=False)
    for heading, steps in (("In the batch", answer.batch), ("In the service", answer.service)):
        if steps:
            console.print(f"\n{heading}", style="bold")
            console.print(_table(steps))


def _table(steps: Sequence[Step]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for step in steps:
        sign, colour = SIGNS[step.mark]
        table.add_row(Text(sign, colour), Text(step.stage, "bold"), Text(step.text))
    return table
