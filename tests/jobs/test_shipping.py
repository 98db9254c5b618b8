"""The code that executors are sent."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from jobs.shipping import write_archive


def test_the_same_code_is_the_same_file_written_once(tmp_path: Path) -> None:
    first = write_archive(tmp_path / "one")
    written = first.stat().st_mtime_ns
    assert write_archive(tmp_path / "one") == first
    assert first.stat().st_mtime_ns == written
    other = write_archive(tmp_path / "two")
    assert (other.name, other.read_bytes()) == (first.name, first.read_bytes())
    assert [path.name for path in (tmp_path / "one").iterdir()] == [first.name]


def test_python_runs_what_is_in_it_and_nothing_of_dagsters_side_is(tmp_path: Path) -> None:
    archive = write_archive(tmp_path)
    assert {name.partition("/")[0] for name in zipfile.ZipFile(archive).namelist()} == {
        "conf", "models", "stores", "jobs"
    }  # fmt: skip
    program = f"import sys; sys.path.insert(0, {str(archive)!r}); import conf.errors; print(conf.errors.__file__)"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{archive}/")
