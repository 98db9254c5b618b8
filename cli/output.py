"""How values look in a terminal, in JSON and in CSV."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

SHOWN_ELEMENTS = 8


def readable(value: Any) -> str:  # noqa: PLR0911  # one return a type reads best
    """A value in one line for a person: rounded numbers, UTC times to the second, long lists cut."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S") if value.tzinfo is None else _utc(value)
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, dict):
        return " ".join(f"{key}={readable(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        shown = ", ".join(_element(element) for element in value[:SHOWN_ELEMENTS])
        return f"{shown}, … ({len(value)})" if len(value) > SHOWN_ELEMENTS else shown
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(value))


def _number(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    if value and (abs(value) < 0.0005 or abs(value) >= 1e12):
        return f"{value:.4g}"
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _utc(value: datetime) -> str:
    moment = value.astimezone(UTC)
    return moment.strftime("%Y-%m-%d %H:%MZ" if moment.second == 0 else "%Y-%m-%d %H:%M:%SZ")


def _element(element: Any) -> str:
    if isinstance(element, tuple):  # a map's entry
        return " ".join(readable(part) for part in element)
    return f"({readable(element)})" if isinstance(element, dict) else readable(element)


def jsonable(value: Any, kind: pa.DataType | None = None) -> Any:  # noqa: PLR0911  # one return a type reads best
    """A value in JSON's types: times in ISO 8601 with Z, bytes in base64, maps as objects, NaN as null."""
    import pyarrow.types as kinds

    if kind is not None and kinds.is_map(kind) and value is not None:
        return {str(key): jsonable(inner, kind.item_type) for key, inner in value}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal) and value == value.to_integral_value():  # sums of whole numbers are wide ones
        return int(value)
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: jsonable(inner, kind.field(key).type if kind else None) for key, inner in value.items()}
    if isinstance(value, list):
        return [jsonable(inner, kind.value_type if kind else None) for inner in value]
    return value if isinstance(value, (str, int, type(None))) else str(value)


def rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    """The rows of a batch by position, for two columns may share a name."""
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def json_lines(batch: pa.RecordBatch) -> Iterator[str]:
    """One JSON object a row."""
    for row in rows(batch):
        fields = zip(batch.schema, row, strict=True)
        yield json.dumps({field.name: jsonable(value, field.type) for field, value in fields}, ensure_ascii=False)


def csv_rows(batch: pa.RecordBatch) -> Iterator[list[str]]:
    """Plain cells; lists, structs and maps as JSON inside their cell; null is empty."""
    for row in rows(batch):
        cells = [jsonable(value, field.type) for field, value in zip(batch.schema, row, strict=True)]
        yield [_cell(cell) for cell in cells]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def table(columns: Sequence[str], body: Iterable[Sequence[Any]], numeric: Iterable[int] = (), title: str = "") -> Table:
    """A table for the terminal; `numeric` columns, by position, are aligned right."""
    right = set(numeric)
    made = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", pad_edge=False)
    for place, name in enumerate(columns):
        made.add_column(Text(name), justify="right" if place in right else "left", overflow="fold")
    for row in body:
        made.add_row(*(Text(readable(value)) for value in row))
    return made


def wide(console: Console) -> Console:
    """The console itself on a terminal; into a file or a pipe, one that never folds a row."""
    if console.is_terminal:
        return console
    console.width = 4000
    return console
