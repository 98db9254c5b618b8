"""`topshelf inspect`: the operators' page."""

from __future__ import annotations

import logging
import os
import socket

import click

from cli.context import Context, pass_context, set_option
from conf.errors import PermanentError


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8600, show_default=True, help="Port; 0: any free one.")
@click.option("--images", is_flag=True, help="Load thumbnails from the catalogue's addresses, not generated covers.")
@set_option
@pass_context
def inspect(context: Context, port: int, images: bool) -> None:
    """Open the operators' page: a user's history and list, what made it, why an item is there or not.

    It reads the stores and tables of these settings with the code of the service, and runs until Ctrl-C. It listens on
    127.0.0.1 only, asks for no password, and answers no other name: from another machine use
    `ssh -L 8600:127.0.0.1:8600 HOST`. Events that are sent from it are real ones. docs/inspect.md tells the rest.
    """
    from werkzeug.serving import make_server

    from cli.inspecting.app import create_inspect_app
    from cli.inspecting.desk import Desk
    from cli.inspecting.guard import LOOPBACK

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request is of no use to an operator
    try:
        listener = socket.create_server((LOOPBACK, port))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise PermanentError(f"port {port} is not to be had: {reason}; choose another by --port") from error
    with listener, Desk(context.settings, context.rules) as desk:
        app = create_inspect_app(desk, images)
        with make_server(LOOPBACK, port, app, threaded=True, fd=listener.fileno()) as server:
            click.echo(f"Inspect on http://{LOOPBACK}:{listener.getsockname()[1]} (Ctrl-C stops it)")
            server.serve_forever()
