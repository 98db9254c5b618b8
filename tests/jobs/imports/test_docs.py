"""docs/data.md names what the import knows, and its example imports."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.imports import events, items, users
from jobs.imports.layouts import detect
from jobs.imports.notes import TAKEN
from jobs.imports.reading import read_rows

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
SOURCES = Path(items.__file__).parent


def test_the_example_has_every_column_and_no_bad_row(spark: SparkSession, tmp_path: Path) -> None:
    examples = re.findall(r"`(\w+\.csv)`\n\n```csv\n(.*?)```", PAGE, re.DOTALL)
    for name, text in examples:
        (tmp_path / name).write_text(text)
    layout = detect(tmp_path)
    assert set(layout.sources) == {"items", "events", "users"}
    rows = {role: read_rows(spark, source) for role, source in layout.sources.items()}
    given_otherwise = {"context", "event_id"}
    for role, read in rows.items():
        assert set(read.types) == TAKEN[role] - given_otherwise, role
    catalogue = items.own_items(rows["items"])
    latest = datetime(2026, 3, 1, tzinfo=UTC)
    made = events.event_rows(rows["events"], catalogue.select("item_id"), latest, rating_required=False)
    for frame, count in ((catalogue, 2), (made, 5), (users.own_users(rows["users"]), 2)):
        assert [row["_reason"] for row in frame.collect()] == [None] * count


@pytest.mark.parametrize("module", ["checking.py", "events.py", "items.py", "reading.py", "users.py"])
def test_every_reason_is_on_the_page(module: str) -> None:
    code = (SOURCES / module).read_text()
    reasons = re.findall(r'(?:reject\(.*?, |BAD_\w+ = )"([^"{}]+)"\)?$', code, re.MULTILINE)
    assert reasons or module == "checking.py"
    assert [reason for reason in reasons if reason not in PAGE] == []
