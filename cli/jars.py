"""The Delta jars that Spark needs, as conf/jars.lock pins them.

What else comes with delta-spark (a second Hadoop, a second Scala) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cli import ivy
from cli.ivy import JarSet, in_place, java

DELTA = ("io.delta", "delta-spark_4.2_2.13", "4.4.0")
JARS = JarSet("Delta jars", DELTA, "conf/jars.lock", by_hand="topshelf jars --from FOLDER")
LOCK = JARS.lock_file

__all__ = ["DELTA", "LOCK", "fetch", "in_place", "install", "java", "read_lock"]


def read_lock(path: Path = LOCK) -> dict[str, str]:
    """File name → SHA-256 in hex."""
    return ivy.read_lock(path)


def install(source: Path, target: Path, lock: Mapping[str, str]) -> None:
    """See `cli.ivy.install`."""
    ivy.install(JARS, source, target, lock)


def fetch(target: Path, lock: Mapping[str, str], env: Mapping[str, str]) -> None:
    """See `cli.ivy.fetch`."""
    ivy.fetch(JARS, target, lock, env)
