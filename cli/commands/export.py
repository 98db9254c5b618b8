"""`topshelf export`: a model's networks as ONNX, for others to run."""

from __future__ import annotations

import shutil
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import click

from cli.context import Context, pass_context, set_option
from conf.errors import ConfigError, DataError

if TYPE_CHECKING:
    from cli.query import Query

NEWEST = "newest"
EXTRA = ("onnx", "onnxruntime")
INSTALL = "`python -m pip install --editable '.[onnx]'` in the folder of the project"


@click.command()
@click.argument("model", default=NEWEST)
@click.option(
    "--to", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="A folder that is new."
)
@set_option
@pass_context
def export(context: Context, model: str, folder: Path) -> None:
    """Write the user tower and the ranker of MODEL as ONNX, with the tables that they need.

    MODEL is a model_id or a version of the table models, or `newest`: the one that is deployed. docs/export.md has
    inputs and outputs. Both files are run on made-up users and compared with PyTorch; where a number differs by more
    than 1e-4, there is no folder. Needs the extra `onnx`.

    \b
    topshelf export newest --to exported
    topshelf export v3 --to exported-v3
    """
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        raise ConfigError(f"an export needs {' and '.join(missing)}: install with {INSTALL}")
    if folder.exists():
        raise DataError(f"{folder} is there already: name a folder that is not")
    from cli.query import Query
    from models.export import export as write
    from models.modelfiles import load_model

    lake = Query(context.settings.lake_root, context.rules)
    model_id, path = _find(lake, context.settings.models_path, model)
    items = lake.ask("SELECT * FROM items ORDER BY item_no").to_arrow_table()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        seen = write(load_model(path), model_id, items, partial, context.settings.seed)
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for name, largest in seen.items():
        click.echo(f"{folder / name}: at most {largest:.1e} from the model {model_id}")


def _find(lake: Query, root: Path, model: str) -> tuple[str, Path]:
    """The model_id and the folder of the model that is meant.

    Raises:
        DataError: there is none, or its files are not those that were registered.
    """
    from models.modelfiles import MANIFEST

    rows = lake.ask("SELECT * FROM models ORDER BY deployed_at DESC").to_arrow_table().to_pylist()
    meant = (row for row in rows if (row["status"] == "deployed" if model == NEWEST else model in _names(row)))
    row = next(meant, None)
    if row is None:
        known = ", ".join(f"{row['version']} ({row['model_id']})" for row in rows)
        raise DataError(f"there is no model {model}; there are: {known or 'none'}")
    folder = root / row["artifact_path"]
    manifest = folder / MANIFEST
    if not manifest.exists() or sha256(manifest.read_bytes()).hexdigest() != row["sha256"]:
        raise DataError(
            f"the files of {row['model_id']} in {folder} are gone or changed: train again with the job daily"
        )
    return row["model_id"], folder


def _names(row: dict[str, str]) -> tuple[str, str]:
    return row["model_id"], row["version"]
