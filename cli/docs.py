"""The reference pages that are made from the code: docs/tables.md, docs/settings.md, docs/commands.md.

`python -m cli.docs` writes them; tests/docs fails when one is not up to date.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import BaseModel

from cli.main import COMMANDS, main
from cli.query import VIEWS, writes
from conf.loading import CONF_DIR
from conf.settings import Settings
from jobs.tables import TABLES, Table

DOCS = Path(__file__).parents[1] / "docs"
WIDTH = 100


def tables() -> str:
    """The Delta tables and the views of `topshelf sql`."""
    lines = [
        "# Tables",
        "",
        "Delta tables below `lake/` in the home folder. All times are UTC. `topshelf sql` reads them, and so does",
        "anything else that reads Delta. Made from jobs/tables.py by `topshelf docs`.",
        "",
    ]
    lines += [f"- [{table.name}](#{table.name}): {table.doc}" for table in TABLES]
    for table in TABLES:
        lines += ["", *_table(table)]
    lines += ["", "# Views", "", "In `topshelf sql` only; they make questions short."]
    for view in VIEWS:
        lines += ["", f"## {view.name}", "", view.doc, "", "| column | meaning |", "|---|---|"]
        lines += [f"| {name} | {_cell(meaning)} |" for name, meaning in view.columns]
    return "\n".join(lines) + "\n"


def _table(table: Table) -> Iterator[str]:
    parts = [f"Key: {', '.join(table.key)}."]
    if table.partitions:
        parts.append(f"Partitions: {', '.join(table.partitions)}.")
    yield from (f"## {table.name}", "", table.doc, "", f"{' '.join(parts)} {writes(table)}.", "")
    yield from ("| column | type | meaning |", "|---|---|---|")
    for field in table.schema:
        kind = field.dataType.simpleString() + ("" if field.nullable else ", never null")
        yield f"| {field.name} | {_cell(kind)} | {_cell(field.metadata['comment'])} |"


def settings() -> str:
    """Every setting with its default and meaning."""
    base = yaml.safe_load((CONF_DIR / "base.yaml").read_text())
    historical = yaml.safe_load((CONF_DIR / "historical.yaml").read_text())
    lines = [
        "# Settings",
        "",
        "Later ones win: conf/base.yaml → conf/local.yaml or cluster.yaml (`TOPSHELF_PROFILE`) → conf/historical.yaml,",
        "when the data is a finished record → dataset.yaml in the home folder (written by an import) → settings.yaml",
        "in the home folder (yours) → the environment (`TOPSHELF_TOWER__EPOCHS=4`) → `--set tower.epochs=4`.",
        "`topshelf config` prints what is in force and where each comes from. An unknown key is an error.",
        "",
        "The home folder is `TOPSHELF_HOME`, by default `./var`. Made from conf/ by `topshelf docs`.",
    ]
    for section, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            lines += ["", f"## {section}", "", "| setting | default | meaning |", "|---|---|---|"]
            for name, inner in field.annotation.model_fields.items():
                default = _default(base[section][name], historical.get(section, {}), name)
                lines.append(f"| {section}.{name} | {_cell(default)} | {_cell(inner.description or '')} |")
        elif section in base:
            lines += ["", "| setting | default | meaning |", "|---|---|---|"]
            lines.append(f"| {section} | {_cell(_plain(base[section]))} | {_cell(field.description or '')} |")
    return "\n".join(lines) + "\n"


def _default(value: Any, historical: dict[str, Any], name: str) -> str:
    plain = _plain(value)
    return f"{plain} (historical data: {_plain(historical[name])})" if name in historical else plain


def _plain(value: Any) -> str:
    return "empty" if value is None else f"`{value if isinstance(value, str) else json.dumps(value)}`"


def commands() -> str:
    """Every command's --help."""
    lines = [
        "# Commands",
        "",
        "`make` lists the project's own commands; `topshelf` is in `.venv/bin`. Made from `--help` by `topshelf docs`.",
    ]
    with click.Context(main, info_name="topshelf", terminal_width=WIDTH, **main.context_settings) as top:
        lines += ["", *_help("topshelf", main, top)]
        for name in COMMANDS:
            command = main.get_command(top, name)
            assert command is not None
            with click.Context(command, parent=top, info_name=name, terminal_width=WIDTH) as context:
                lines += ["", *_help(f"topshelf {name}", command, context)]
                for inner, sub in command.commands.items() if isinstance(command, click.Group) else ():
                    with click.Context(sub, parent=context, info_name=inner, terminal_width=WIDTH) as below:
                        lines += ["", *_help(f"topshelf {name} {inner}", sub, below)]
    return "\n".join(lines) + "\n"


def _help(title: str, command: click.Command, context: click.Context) -> Iterator[str]:
    yield from (f"## {title}", "", "```text")
    yield from (line.rstrip() for line in command.get_help(context).splitlines())
    yield "```"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


PAGES: dict[str, Callable[[], str]] = {"tables.md": tables, "settings.md": settings, "commands.md": commands}


def write() -> list[Path]:
    """Write every page; returns those that changed."""
    changed = []
    for name, made in PAGES.items():
        path, text = DOCS / name, made()
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            changed.append(path)
    return changed


if __name__ == "__main__":
    for page in write():
        click.echo(f"written: {page}")
