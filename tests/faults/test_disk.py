"""The embedded store on a disk that is full."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.faults import full_disk
from tests.faults.reader import Found
from tests.faults.watching import ROOT


@pytest.fixture
def small_disk(tmp_path):
    """Runs a module with a disk of some MB; skipped, or in continuous integration failed, where that is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    tried = subprocess.run(full_disk.disk(1, folder, "true"), capture_output=True, text=True, check=False)
    if tried.returncode:
        reason = f"a disk of its own takes root, or user namespaces: {tried.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    def run(megabytes: int, module: str, *arguments: object) -> str:
        command = full_disk.disk(megabytes, folder, sys.executable, "-m", module, str(folder), *map(str, arguments))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_full_disk_stops_the_load_and_no_reader(small_disk, world, table, tmp_path):
    megabytes = 2 if world.users < 1000 else 16
    said = small_disk(megabytes, "tests.faults.full_disk", world.users, tmp_path / "notes")
    result = json.loads(said.splitlines()[-1])
    assert len(result["refused"]) == full_disk.ROUNDS
    assert "is full: make room on it" in result["refused"][0]
    table.add("disk full", "embedded", Found(**result["found"]), result["recovered"], full_disk.ROUNDS)
