"""`topshelf config`: the settings in force."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from cli.context import Context, pass_context, set_option
from conf.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import BaseModel

MASK = "••••••"
_SECRET_NAME = re.compile(r"secret|password|passwd|token|credential|access\.?key", re.IGNORECASE)


@click.command()
@click.argument("key", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object: key → value, source, meaning.")
@set_option
@pass_context
def config(context: Context, key: str | None, as_json: bool) -> None:
    """Show the settings in force, what each means and where it comes from.

    KEY is one setting (tower.epochs) or a section (tower). Secrets are never shown.

    \b
    topshelf config training
    topshelf --set tower.epochs=3 config tower.epochs
    """
    found = {
        name: {"value": value, "source": source(context.sources, name), "meaning": meaning}
        for name, value, meaning in walk(context.settings)
        if key is None or name == key or name.startswith(f"{key}.")
    }
    if not found:
        raise ConfigError(f"{key} is not a setting: `topshelf config` lists them all")
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    from cli.output import table, wide

    body = [(name, _shown(row["value"]), row["source"], row["meaning"]) for name, row in found.items()]
    wide(context.console).print(table(["setting", "value", "from", "meaning"], body))


def source(sources: Mapping[str, str], name: str) -> str:
    """What set `name`; for a free-form mapping, what set each of its entries."""
    inside = [layer for key, layer in sources.items() if key.startswith(f"{name}.")]
    return ", ".join(dict.fromkeys(inside)) or sources.get(name, "default")


def walk(section: BaseModel, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Every setting below `section`: dotted key, value in JSON's types (secrets masked), meaning."""
    from pydantic import BaseModel

    plain = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from walk(value, f"{path}{name}.")
        else:
            shown = MASK if not field.repr and value is not None else _masked(plain[name])
            yield f"{path}{name}", shown, field.description or ""


def _masked(value: Any) -> Any:
    """Free-form mappings may hold secrets too, such as spark.hadoop.fs.s3a.secret.key."""
    if not isinstance(value, dict):
        return value
    return {name: MASK if _SECRET_NAME.search(name) else inner for name, inner in value.items()}


def _shown(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
