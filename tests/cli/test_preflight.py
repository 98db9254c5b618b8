"""What a newcomer without the right Python or Java is told, before anything is installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PREFLIGHT = Path(__file__).parents[2] / ".ci" / "preflight"
GOOD_PYTHON = "exit 0"
OLD_PYTHON = 'case "$*" in *print*) echo 3.9;; *) exit 1;; esac'
NO_VENV = 'case "$*" in *print*) echo 3.12;; *ensurepip*) exit 1;; esac'
GOOD_JAVA = "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2"
OLD_JAVA = "echo 'java version \"1.8.0_402\"' >&2"
STUB_JAVA = "echo 'Unable to locate a Java Runtime.' >&2; exit 1"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the few tools that the script itself needs; the only one on PATH."""
    for tool in ("sed", "head"):
        real = next(Path(folder, tool) for folder in ("/usr/bin", "/bin") if Path(folder, tool).exists())
        (tmp_path / tool).symlink_to(real)
    return tmp_path


def run(programs: Path, python: str | None, java: str | None, **env: str) -> subprocess.CompletedProcess[str]:
    for name, script in (("python3", python), ("java", java)):
        if script is not None:
            (programs / name).write_text(f"#!/bin/sh\n{script}\n")
            (programs / name).chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(PREFLIGHT)], env={"PATH": str(programs), **env}, capture_output=True, text=True, check=False
    )


def test_the_right_ones_pass_and_the_python_is_named(programs: Path) -> None:
    done = run(programs, GOOD_PYTHON, GOOD_JAVA)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{programs}/python3\n", "")


@pytest.mark.parametrize(
    ("python", "java", "says"),
    [
        (None, GOOD_JAVA, ["needs Python 3.11", "Found: none", "sudo apt install python3.11", "brew install python"]),
        (OLD_PYTHON, GOOD_JAVA, ["needs Python 3.11", "python3 (3.9)"]),
        (NO_VENV, GOOD_JAVA, ["cannot make virtual environments", "sudo apt install python3.12-venv"]),
        (GOOD_PYTHON, None, ["needs Java 17", "Found: none", "openjdk-17-jre-headless", "brew install openjdk@17"]),
        (GOOD_PYTHON, OLD_JAVA, ["needs Java 17", "java (Java 8)"]),
        (GOOD_PYTHON, STUB_JAVA, ["needs Java 17", "Found: none"]),
        (OLD_PYTHON, OLD_JAVA, ["needs Python 3.11", "needs Java 17"]),
    ],
)
def test_what_is_missing_is_named_with_the_way_to_get_it(
    programs: Path, python: str | None, java: str | None, says: list[str]
) -> None:
    done = run(programs, python, java)
    assert (done.returncode, done.stdout) == (1, "")
    assert [words for words in says if words not in done.stderr] == []


def test_java_home_goes_before_the_path(programs: Path) -> None:
    home = programs / "jdk"
    (home / "bin").mkdir(parents=True)
    java = home / "bin" / "java"
    java.write_text(f"#!/bin/sh\n{GOOD_JAVA}\n")
    java.chmod(0o755)
    assert run(programs, GOOD_PYTHON, OLD_JAVA, JAVA_HOME=str(home)).returncode == 0
    assert run(programs, GOOD_PYTHON, OLD_JAVA, JAVA_HOME=os.devnull).returncode == 1
