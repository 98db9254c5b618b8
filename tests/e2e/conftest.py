"""One small world, taken the whole way once by commands in processes of their own.

What is asked of it later is typed in this process, whose Spark and libraries have started.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from pyspark.sql import SparkSession

from tests.conftest import QUICK
from tests.e2e.commands import Topshelf, challenge, in_this_process, whole_way
from tests.services import require_program


@dataclass(frozen=True)
class Begun:
    """Long work: its homes, and what comes of it once it has ended (tests/e2e/commands.py)."""

    home: Path
    first_run: Future[str]
    challenged_home: Path
    challenged: Future[str] | None


@pytest.fixture(scope="session")
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """The first run and, after it, where a test is going to ask for it, the second model of a copy of its home.

    The second goes on beside the tests of the first, in processes that let those of the tests go first.
    """
    folder = tmp_path_factory.mktemp("e2e")
    asked = any("challenged" in getattr(item, "fixturenames", ()) for item in request.session.items)
    home, copy = folder / "home", folder / "challenged"
    background = ThreadPoolExecutor(1)
    try:
        first = background.submit(whole_way, home, QUICK, copy)
        yield Begun(home, first, copy, background.submit(challenge, copy) if asked else None)
    finally:
        background.shutdown(cancel_futures=True)


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
