"""`topshelf inspect`: the operators' page."""

from __future__ import annotations

import click

from cli.context import Context, pass_context, set_option

PORT = 8600


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="Port; 0: any free one.")
@click.option("--images", is_flag=True, help="Load thumbnails from the catalogue's addresses, not generated covers.")
@set_option
@pass_context
def inspect(context: Context, port: int, images: bool) -> None:
    """Open the operators' page: a user's history and list, what made it, why an item is there or not.

    It reads the stores and tables of these settings with the code of the service, and runs until Ctrl-C. It listens on
    127.0.0.1 only, asks for no password, and answers no other name: from another machine use
    `ssh -L 8600:127.0.0.1:8600 HOST`. Events that are sent from it are real ones. docs/inspect.md tells the rest.
    """
    from cli.inspecting.server import pages

    with pages(context, port, dagster=None, images=images) as (server, url):
        click.echo(f"Inspect on {url} (Ctrl-C stops it)")
        server.serve_forever()
