"""`topshelf takedown`: items that no answer may hold, at once and whatever the catalogue says of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from cli.context import Context, pass_context, set_option
from conf.errors import DataError

if TYPE_CHECKING:
    from stores.control import Control


@click.command()
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option("--undo", is_flag=True, help="Let the items be shown again.")
@click.option("--list", "listed", is_flag=True, help="Print what is taken down, one item a line; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object: takedowns, unknown.")
@set_option
@pass_context
def takedown(context: Context, items: tuple[str, ...], undo: bool, listed: bool, as_json: bool) -> None:
    """Take items down: no answer of any service holds them from its next look on (serving.follow_seconds).

    One small write to the store's control record: no list, catalogue or artefact is rewritten, and a publication that
    is under way goes on. It lasts over publications and rollbacks until --undo. An item that the catalogue does not
    have is taken down as well, and named.

    \b
    topshelf takedown movie_17 movie_18
    topshelf takedown --list
    topshelf takedown --undo movie_17
    """
    from stores.opening import open_store
    from stores.takedowns import put_back, take_down

    if listed == bool(items) or (listed and undo):
        raise click.UsageError("name the items, or ask for --list")
    with open_store(context.settings) as store:
        control = store.read_control() if listed else (put_back if undo else take_down)(store, items)
    down = () if control is None else control.takedowns
    unknown = _unknown(context, control, down if listed else items)
    if as_json:
        click.echo(json.dumps({"takedowns": down, "unknown": unknown}, ensure_ascii=False))
    elif listed:
        for item_id in down:
            click.echo(item_id)
    else:
        what = "may be shown again" if undo else "taken down"
        context.console.print(f"{len(set(items)):,} items {what}; {len(down):,} are down", markup=False)
    if unknown and not as_json:
        names = ", ".join(unknown)
        click.echo(f"not in the catalogue that is served now: {names}", err=True)


def _unknown(context: Context, control: Control | None, items: tuple[str, ...]) -> list[str]:
    """Items that the current artefact does not have; none where it is not on this machine."""
    from stores.artefact import load_artefact

    generation = None if control is None else control.generation()
    if generation is None:
        return []
    try:
        artefact = load_artefact(context.settings.artefacts_path, generation.artefact_id, verify=False)
    except DataError:
        return []
    return sorted(set(items).difference(artefact.item_ids))
