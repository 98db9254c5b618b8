"""A lake of three films and two users, written without Spark, and a way to call commands in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from deltalake import CommitProperties, write_deltalake
from pyspark.sql.pandas.types import to_arrow_schema

from cli.main import main
from conf.hours import Hour
from jobs import states
from jobs.tables import ITEMS, PUBLISHED, Table

HOUR = datetime(2026, 1, 1, 5, tzinfo=UTC)
Rows = Sequence[Mapping[str, Any]]
Topshelf = Callable[..., Result]


def listed(item_no: int, score: float, source: str, anchor: str | None = None) -> dict[str, object]:
    return {"item_no": item_no, "item_id": f"m{item_no}", "score": score, "source": source, "anchor": anchor}


FILMS = [
    {"item_no": number, "item_id": f"m{number}", "title": title, "year": 1979 + number, "genres": ["Sci-Fi"],
     "cast": [], "maturity": 0, "regions": ["*"], "status": "active"}
    for number, title in enumerate(["Alien", "Blade [Runner]", "It's"])
]  # fmt: skip
LISTS = [
    {"user_id": user, "variant": "champion", "items": items, "body": b"", "hash": "h", "ring_position": 0,
     "maturity_limit": 4, "generation": 3, "store_id": "s", "hour": HOUR}
    for user, items in (
        ("ann", [listed(0, 0.9, "ann"), listed(1, 0.5, "similar", "m0"), listed(2, 0.25, "genre", "Sci-Fi")]),
        ("bob", [listed(2, 0.75, "similar", "gone"), listed(0, 0.5, "popular")]),
    )
]  # fmt: skip


def write(home: Path, table: Table, rows: Rows, hour: Hour | None = None) -> None:
    """Rows of a table; columns that a row lacks are null. hour: that a state table tells of."""
    schema = to_arrow_schema(table.schema, timezone="UTC")
    complete = [{name: row.get(name) for name in table.columns} for row in rows]
    said = None if hour is None else CommitProperties(custom_metadata={states.HOUR: str(hour)})
    path, content = str(home / "lake" / table.name), pa.Table.from_pylist(complete, schema=schema)
    write_deltalake(path, content, mode="overwrite", commit_properties=said)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, in force for the commands that a test calls."""
    path = tmp_path / "home"
    monkeypatch.setenv("TOPSHELF_HOME", str(path))
    return path


@pytest.fixture
def small_lake(home: Path) -> Path:
    write(home, ITEMS, FILMS)
    write(home, PUBLISHED, LISTS)
    return home


@pytest.fixture
def topshelf(home: Path) -> Topshelf:
    """Calls `topshelf ARGUMENTS` in this process; an unexpected exception fails the test."""

    def call(*arguments: str) -> Result:
        result = CliRunner().invoke(main, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call
