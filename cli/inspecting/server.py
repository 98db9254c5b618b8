"""The operators' pages on a port of this machine."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.serving import BaseWSGIServer, make_server

from cli.context import Context
from cli.inspecting.app import create_inspect_app
from cli.inspecting.desk import Desk
from cli.inspecting.guard import LOOPBACK
from conf.errors import PermanentError
from conf.loading import load


@contextmanager
def pages(
    context: Context, port: int, dagster: str | None, images: bool = False
) -> Iterator[tuple[BaseWSGIServer, str]]:
    """A server that listens on 127.0.0.1, and its address; its caller has it serve.

    port: 0 takes any free one; dagster: address of Dagster's UI, if it is known.

    Raises:
        PermanentError: the port is taken.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request is of no use to an operator
    try:
        listener = socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise PermanentError(
            f"port {port} is not to be had: {os.strerror(error.errno or 0)}; choose another"
        ) from error
    with listener, Desk(context.settings, context.rules) as desk:
        app = create_inspect_app(desk, images, lambda: load(context.env, context.overrides).settings, dagster)
        with make_server(LOOPBACK, port, app, threaded=True, fd=listener.fileno()) as server:
            yield server, f"http://{LOOPBACK}:{listener.getsockname()[1]}"
