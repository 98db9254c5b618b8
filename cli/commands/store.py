"""`topshelf store`: the key-value store that holds the lists."""

from __future__ import annotations

import json

import click

from cli.context import Context, pass_context, set_option

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON object: kind, found.")


@click.group()
def store() -> None:
    """Make and check the key-value store that holds the lists: the one that store.kind names.

    embedded is files of this machine; dynamodb and scylla are servers (`topshelf services up` runs them here).

    \b
    topshelf store create
    topshelf --set store.kind=dynamodb store check
    """


@store.command()
@as_json_option
@set_option
@pass_context
def create(context: Context, as_json: bool) -> None:
    """Make the store's tables where they are missing, and check them. What is there stays as it is."""
    _report(context, as_json, create_first=True)


@store.command()
@as_json_option
@set_option
@pass_context
def check(context: Context, as_json: bool) -> None:
    """Look whether the store is there, has the right shape, and can be written.

    Exit codes: 0 it can; 1 something must change (no tables, another shape, no permission, no room); 3 it does not
    answer.
    """
    _report(context, as_json, create_first=False)


def _report(context: Context, as_json: bool, create_first: bool) -> None:
    from stores.opening import open_store

    with open_store(context.settings) as opened:
        if create_first:
            opened.create()
        found = opened.check()
    click.echo(json.dumps({"kind": context.settings.store.kind, "found": found}) if as_json else found)
