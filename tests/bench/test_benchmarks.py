"""`python -m bench`: each benchmark takes the arguments it is given, and one that fails is told of."""

from __future__ import annotations

import subprocess
from importlib import import_module
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from bench import __main__ as benchmarks
from bench import growth


@pytest.mark.parametrize("name", sorted(set(benchmarks.BENCHMARKS) - {"search"}))  # search takes one number, or none
@pytest.mark.parametrize("size", ["reduced", "full"])
def test_its_arguments_are_the_commands(name, size):
    command: click.Command = import_module(f"bench.{name}").main
    command.make_context(name, list(getattr(benchmarks.BENCHMARKS[name], size)))


def test_the_others_run_where_one_fails(monkeypatch):
    ran = []

    def run(command, check):
        ran.append(command[2])
        return SimpleNamespace(returncode=int(command[2] == "bench.growth"))

    monkeypatch.setattr(subprocess, "run", run)
    found = CliRunner().invoke(benchmarks.main, ["--of", "growth", "--of", "hour"])
    assert ran == ["bench.growth", "bench.hour"]
    assert found.exit_code == 1
    assert [line.endswith("failed") for line in found.stderr.splitlines()[-2:]] == [True, False]
    assert CliRunner().invoke(benchmarks.main, ["--of", "hour"]).exit_code == 0


def test_growth_is_the_power_of_the_size():
    flat = {size: growth.Found([2.0], [2.0]) for size in (10, 100, 1000)}
    steep = {size: growth.Found([size / 5], [2.0]) for size in (10, 100, 1000)}
    assert growth.power(flat) == pytest.approx(0)
    assert growth.power(steep) == pytest.approx(1)


def test_curves_are_drawn(tmp_path):
    growth.draw({"users": {10: growth.Found([1.0], [1.0]), 100: growth.Found([2.0], [1.0])}}, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
