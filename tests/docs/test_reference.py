"""The reference pages say what the code says, and the code says what everything means."""

from __future__ import annotations

import pytest

from cli import docs
from cli.main import COMMANDS
from cli.query import VIEWS
from conf.settings import Settings
from jobs.tables import TABLES


@pytest.mark.parametrize("page", docs.PAGES)
def test_the_page_is_what_the_code_makes(page: str) -> None:
    written = (docs.DOCS / page).read_text()
    assert written == docs.PAGES[page](), f"docs/{page} is not up to date: `make docs` writes it anew"


def test_every_column_has_a_meaning() -> None:
    without = [
        f"{table.name}.{field.name}" for table in TABLES for field in table.schema if not field.metadata["comment"]
    ]
    assert without == []


def test_every_table_view_setting_and_command_is_on_its_page() -> None:
    tables, settings, commands = docs.tables(), docs.settings(), docs.commands()
    assert [table.name for table in TABLES if f"\n## {table.name}\n" not in tables] == []
    assert [view.name for view in VIEWS if f"\n## {view.name}\n" not in tables] == []
    assert [name for name in Settings.model_fields if name != "home" and f"\n## {name}\n" not in settings] == ["seed"]
    assert [name for name in COMMANDS if f"\n## topshelf {name}\n" not in commands] == []


def test_every_setting_has_a_meaning() -> None:
    rows = [line for line in docs.settings().splitlines() if line.startswith("| ") and "| setting |" not in line]
    assert len(rows) > 50
    assert [row for row in rows if row.endswith("|  |")] == []
