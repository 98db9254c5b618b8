"""One small world, taken the whole way once by commands in processes of their own.

What is asked of it later is typed in this process, whose Spark and libraries have started.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from pyspark.sql import SparkSession

from tests.conftest import Begun
from tests.e2e.commands import Topshelf, in_this_process
from tests.services import require_program


@pytest.fixture(scope="session")
def home(begun: Begun) -> Path:
    return begun.home


@pytest.fixture(scope="session")
def first_run(begun: Begun) -> str:
    """A demo world imported and its newest hour run, in `home`; the summary of the run as JSON."""
    return begun.first_run.result()


@pytest.fixture(scope="session")
def challenged(begun: Begun, first_run: str) -> tuple[Path, str]:
    """Another home, in which a second model was trained, scored in its shadow and published since the first run; and
    what `rollout status --json` said when its shadow had begun."""
    assert begun.challenged is not None
    return begun.challenged_home, begun.challenged.result()


@pytest.fixture(scope="session")
def topshelf(home: Path, spark: SparkSession) -> Topshelf:
    return in_this_process(home)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium. A file's own, for its event loop would stand in the way of other tests."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=require_program("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield made
        made.close()
