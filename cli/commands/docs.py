"""`topshelf docs`: the reference pages that are made from the code."""

from __future__ import annotations

import click


@click.command()
def docs() -> None:
    """Write docs/tables.md, docs/settings.md and docs/commands.md anew from the code.

    For those who change Topshelf itself: a test fails when a page is not up to date.
    """
    from cli.docs import write

    for page in write():
        click.echo(f"written: {page}")
