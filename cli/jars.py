"""The Delta jars that Spark needs: fetched with the Ivy inside PySpark, so that Java alone is enough.

conf/jars.lock pins each by its SHA-256 (the format of sha256sum). What else comes with delta-spark (a second
Hadoop, a second Scala) is left out.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from conf.errors import ConfigError, DataError, PermanentError, RetryableError

LOCK = Path(__file__).parents[1] / "conf" / "jars.lock"
DELTA = ("io.delta", "delta-spark_4.2_2.13", "4.4.0")
FETCH_SECONDS = 900
_FAILURE = re.compile(r"^\s*::\s.*(: not found|\(FAILED\)|download failed)|SERVER ERROR|\[FAILED")


def read_lock(path: Path = LOCK) -> dict[str, str]:
    """File name → SHA-256 in hex."""
    pairs = [line.split() for line in path.read_text().splitlines() if line.strip()]
    return {name: digest for digest, name in pairs}


def in_place(target: Path, lock: Mapping[str, str]) -> bool:
    """Whether `target` holds exactly the jars of the lock."""
    return {jar.name for jar in target.glob("*.jar")} == set(lock) and not _wrong(target, lock)


def install(source: Path, target: Path, lock: Mapping[str, str]) -> None:
    """Check the locked jars in `source` and put them, whole or not at all, into `target`.

    Raises:
        DataError: a jar is missing from `source`, or is not the one that the lock pins.
    """
    missing = sorted(name for name in lock if not (source / name).is_file())
    if missing:
        raise DataError(f"{source} lacks {', '.join(missing)}: all jars named in conf/jars.lock are needed")
    wrong = _wrong(source, lock)
    if wrong:
        raise DataError(
            f"{', '.join(wrong)} in {source} differ from conf/jars.lock: delete them and fetch them again, "
            "or take them from a source you trust"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".jars-", dir=target.parent) as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        for name in lock:
            shutil.copyfile(source / name, new / name)
        if target.exists():
            target.rename(old)
        new.rename(target)


def fetch(target: Path, lock: Mapping[str, str], env: Mapping[str, str]) -> None:
    """Download the jars and install them.

    Raises:
        ConfigError: there is no Java.
        RetryableError: the download failed; the text gives Ivy's reason and the way to do without.
        DataError: what came is not what the lock pins.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".ivy-", dir=target.parent) as scratch:
        got = Path(scratch) / "jars"
        got.mkdir()
        _run(_ivy_command(java(env), Path(scratch) / "cache", got))
        install(got, target, lock)


def java(env: Mapping[str, str]) -> str:
    """The Java that Spark itself would take: JAVA_HOME's, else the first on PATH."""
    home = env.get("JAVA_HOME")
    if home and os.access(f"{home}/bin/java", os.X_OK):
        return f"{home}/bin/java"
    found = shutil.which("java", path=env.get("PATH"))
    if found is None:
        raise ConfigError("no java found: install Java 17 (README.md says how), or set JAVA_HOME")
    return found


def ivy_jar() -> Path:
    """The Ivy that PySpark ships."""
    spec = find_spec("pyspark")
    folders = list(spec.submodule_search_locations or []) if spec else []
    jars = sorted(jar for folder in folders for jar in Path(folder, "jars").glob("ivy-*.jar"))
    if not jars:
        raise PermanentError("PySpark has no Ivy in its jars folder: run `make clean` and set up again")
    return jars[-1]


def _ivy_command(java_path: str, cache: Path, into: Path) -> list[str]:
    pattern = str(into / "[artifact]-[revision].[ext]")
    return [
        *(java_path, "-jar", str(ivy_jar()), "-cache", str(cache), "-types", "jar", "bundle"),
        *("-dependency", *DELTA, "-confs", "default", "-retrieve", pattern),
    ]


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise RetryableError(f"fetching the Delta jars took longer than {FETCH_SECONDS} s. {_REMEDY}") from None
    # Ivy ends with 0 even when an artefact could not be had: its last lines tell, and install() checks the files.
    failures = [line.strip(" :\t") for line in done.stdout.splitlines() if _FAILURE.search(line)]
    if done.returncode or failures:
        reason = "; ".join(dict.fromkeys(failures)) or _tail(done.stdout + done.stderr)
        raise RetryableError(f"the Delta jars could not be fetched: {reason}. {_REMEDY}")


_REMEDY = (
    "Check the way to Maven Central (Java takes a proxy from JAVA_TOOL_OPTIONS='-Dhttps.proxyHost=… "
    "-Dhttps.proxyPort=…') and try again; or copy the jars named in conf/jars.lock from a machine that has them and "
    "run `topshelf jars --from FOLDER`"
)


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _wrong(folder: Path, lock: Mapping[str, str]) -> list[str]:
    return sorted(
        name for name, digest in lock.items() if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest
    )
