"""One small world, taken the whole way once by commands in processes of their own.

What is asked of it later is typed in this process, whose Spark and libraries have started.
"""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.e2e.commands import Topshelf, in_this_process


@pytest.fixture(scope="session")
def home(begun: tuple[Path, Future[str]]) -> Path:
    return begun[0]


@pytest.fixture(scope="session")
def first_run(begun: tuple[Path, Future[str]]) -> str:
    """A demo world imported and its newest hour run, in `home`; the summary of the run as JSON."""
    return begun[1].result()


@pytest.fixture(scope="session")
def topshelf(home: Path, spark: SparkSession) -> Topshelf:
    return in_this_process(home)
