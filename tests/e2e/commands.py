"""The commands that a person types, and a small world that is taken the whole way by them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from cli.main import main

SMALL = {
    "spark": {"master": "local[2]", "driver_memory": "2g", "shuffle_partitions": 2},
    "tower": {"hidden": [32], "dim": 16, "epochs": 2, "min_steps": 20, "batch": 256},
    "ranker": {"hidden": [32], "epochs": 1},
    "retrieval": {"ann": 100, "total": 300, "list_size": 50},
}
LENIENT = ("--set", "promotion.max_drop=1", "--set", "promotion.tolerance=1", "--set", "rollout.steps=[100]")
OTHER = ("--set", "seed=5", "--set", "tracking.enabled=false")
WORLD = ("--users", "300", "--items", "200", "--days", "6", "--seed", "3")
Topshelf = Callable[..., str]


def in_a_process(home: Path) -> Topshelf:
    """Calls the command in a process of its own, which lets others go first; returns its output."""

    def call(*arguments: str) -> str:
        done = subprocess.run(
            ["nice", "-n", "10", sys.executable, "-m", "cli.main", *arguments],
            env={**os.environ, "TOPSHELF_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"topshelf {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return call


def in_this_process(home: Path) -> Topshelf:
    """Calls the command here; returns its output. One that runs Spark takes the session that there is."""

    def call(*arguments: str) -> str:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("TOPSHELF_HOME", str(home))
            done = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, f"topshelf {' '.join(arguments)}\n{done.output}"
        return done.stdout

    return call


def whole_way(home: Path, spark_conf: dict[str, str], copy: Path) -> str:
    """Make a demo world, import it and run its newest hour; returns the summary of the run as JSON.

    copy: another home, to be as this one is then.
    """
    home.mkdir()
    settings = {**SMALL, "spark": {**SMALL["spark"], "conf": spark_conf}}
    (home / "settings.yaml").write_text(yaml.safe_dump(settings))
    topshelf = in_a_process(home)
    topshelf("demo-world", str(home / "demo"), *WORLD)
    topshelf("import", str(home / "demo"))
    summary = topshelf("run", "--json")
    shutil.copytree(home, copy)
    return summary


def challenge(home: Path) -> str:
    """Train a second model, score its shadow and publish it; returns what `rollout status` says of it in between."""
    topshelf = in_a_process(home)
    topshelf(*LENIENT, *OTHER, "run", "--force", "--republish", "--json")
    status = topshelf("rollout", "status", "--json")
    topshelf(*LENIENT, *OTHER, "run", "--republish", "--json")
    return status
