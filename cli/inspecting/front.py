"""The page that `topshelf ui` opens on, drawn whole by the server so that it needs no script."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from cli.inspecting.desk import Desk
from cli.inspecting.found import look
from cli.inspecting.now import answers
from cli.inspecting.watch import slots, wanting
from conf.settings import Settings

TEMPLATES = Path(__file__).with_name("templates")


def register(app: Flask, desk: Desk, settings: Callable[[], Settings], dagster: str | None) -> None:
    """Add the page /now.

    settings: those in force at the moment, for an import sets the hours there are; dagster: address of its UI, that
    the page leads to; None: it is not known.
    """
    pages = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    pages.filters["commands"] = _commands
    page = pages.get_template("now.html")

    @app.get("/now")
    def now() -> Response:
        moment = datetime.fromtimestamp(desk.clock(), UTC)
        found = look(desk.store, settings(), moment)
        said = answers(found)
        html = page.render(
            title=f"{said[0].short}: {said[0].question}",
            now=moment,
            answers=said,
            wanting=wanting(found),
            slots=slots(found),
            dagster=dagster,
        )
        return Response(html, mimetype="text/html")


def _commands(text: str) -> Markup:
    """What stands between backticks is something to type."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped before
