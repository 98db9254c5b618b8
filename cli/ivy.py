"""Files from Maven coordinates, fetched with the Ivy inside PySpark, so that Java alone is enough.

A lock pins each file by its SHA-256 (the format of sha256sum); what else comes along is left out.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from conf.errors import ConfigError, DataError, PermanentError, RetryableError

ROOT = Path(__file__).parents[1]
FETCH_SECONDS = 900
_FAILURE = re.compile(r"^\s*::\s.*(: not found|\(FAILED\)|download failed)|SERVER ERROR|\[FAILED")


@dataclass(frozen=True)
class JarSet:
    """A module and all it needs, fetched and checked as one."""

    title: str
    """As in "the … could not be fetched"."""
    module: tuple[str, str, str]
    """Group, artifact and version."""
    lock_name: str
    """Its file, from the root of the project."""
    by_hand: str
    """The command that installs the files from a folder."""
    types: tuple[str, ...] = ("jar", "bundle")
    """Of artefact; what is native is `so` or `dylib`."""
    alone: tuple[tuple[str, str, str], ...] = ()
    """Further modules, each without what it needs."""

    @property
    def lock_file(self) -> Path:
        return ROOT / self.lock_name


def read_lock(path: Path) -> dict[str, str]:
    """File name → SHA-256 in hex."""
    pairs = [line.split() for line in path.read_text().splitlines() if line.strip()]
    return {name: digest for digest, name in pairs}


def in_place(target: Path, lock: Mapping[str, str]) -> bool:
    """Whether `target` holds exactly the files of the lock, of their kinds."""
    kinds = {Path(name).suffix for name in lock}
    found = {path.name for path in target.glob("*") if path.suffix in kinds}
    return found == set(lock) and not _wrong(target, lock)


def install(jars: JarSet, source: Path, target: Path, lock: Mapping[str, str]) -> None:
    """Check the locked files in `source` and put them, whole or not at all, into `target`.

    Raises:
        DataError: a file is missing from `source`, or is not the one that the lock pins.
    """
    missing = sorted(name for name in lock if not (source / name).is_file())
    if missing:
        raise DataError(f"{source} lacks {', '.join(missing)}: all jars named in {jars.lock_name} are needed")
    wrong = _wrong(source, lock)
    if wrong:
        raise DataError(
            f"{', '.join(wrong)} in {source} differ from {jars.lock_name}: delete them and fetch them again, "
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


def fetch(jars: JarSet, target: Path, lock: Mapping[str, str], env: Mapping[str, str]) -> None:
    """Download the files and install them.

    Raises:
        ConfigError: there is no Java.
        RetryableError: the download failed; the text gives Ivy's reason and the way to do without.
        DataError: what came is not what the lock pins.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".ivy-", dir=target.parent) as scratch:
        got = Path(scratch) / "jars"
        got.mkdir()
        for module in (jars.module, *jars.alone):
            _run(jars, _ivy_command(jars, module, java(env), Path(scratch) / "cache", got))
        install(jars, got, target, lock)


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


def _ivy_command(jars: JarSet, module: tuple[str, str, str], java_path: str, cache: Path, into: Path) -> list[str]:
    pattern = str(into / "[artifact]-[revision](-[classifier]).[ext]")
    return [
        *(java_path, "-jar", str(ivy_jar()), "-cache", str(cache), "-types", *jars.types),
        *("-dependency", *module, *(("-notransitive",) if module in jars.alone else ())),
        *("-confs", "default", "-retrieve", pattern),
    ]


def _run(jars: JarSet, command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise RetryableError(f"fetching the {jars.title} took longer than {FETCH_SECONDS} s. {_remedy(jars)}") from None
    # Ivy ends with 0 even when an artefact could not be had: its last lines tell, and install() checks the files.
    failures = [line.strip(" :\t") for line in done.stdout.splitlines() if _FAILURE.search(line)]
    if done.returncode or failures:
        reason = "; ".join(dict.fromkeys(failures)) or _tail(done.stdout + done.stderr)
        raise RetryableError(f"the {jars.title} could not be fetched: {reason}. {_remedy(jars)}")


def _remedy(jars: JarSet) -> str:
    return (
        "Check the way to Maven Central (Java takes a proxy from JAVA_TOOL_OPTIONS='-Dhttps.proxyHost=… "
        f"-Dhttps.proxyPort=…') and try again; or copy the jars named in {jars.lock_name} from a machine that has "
        f"them and run `{jars.by_hand}`"
    )


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _wrong(folder: Path, lock: Mapping[str, str]) -> list[str]:
    return sorted(
        name for name, digest in lock.items() if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest
    )
