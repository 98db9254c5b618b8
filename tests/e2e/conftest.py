"""One small world, taken the whole way once by the commands a person types."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import QUICK

SMALL = {
    "spark": {"master": "local[2]", "driver_memory": "2g", "shuffle_partitions": 2, "conf": QUICK},
    "tower": {"hidden": [32], "dim": 16, "epochs": 2, "min_steps": 20, "batch": 256},
    "ranker": {"hidden": [32], "epochs": 1},
    "retrieval": {"ann": 100, "total": 300, "list_size": 50},
}
WORLD = ("--users", "300", "--items", "200", "--days", "6", "--seed", "3")
Topshelf = Callable[..., str]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("e2e") / "home"
    path.mkdir()
    (path / "settings.yaml").write_text(yaml.safe_dump(SMALL))
    return path


def in_home(home: Path) -> Topshelf:
    """Calls the command in a process of its own; returns its output."""

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            env={**os.environ, "TOPSHELF_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"topshelf {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return call


@pytest.fixture(scope="session")
def topshelf(home: Path) -> Topshelf:
    return in_home(home)


@pytest.fixture(scope="session")
def first_run(topshelf: Topshelf, home: Path) -> str:
    """A demo world imported and its newest hour run; the summary of the run as JSON."""
    topshelf("demo-world", str(home / "demo"), *WORLD)
    topshelf("import", str(home / "demo"))
    return topshelf("run", "--json")
