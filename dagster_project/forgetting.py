"""Erasing users from Dagster's own history: runs whose log names one, as a gate that failed does."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import dagster as dg

from conf.errors import RetryableError
from conf.settings import Settings
from jobs.traces import naming

BUSY_SECONDS = 30.0
INDEX = "index.db"


def forget(settings: Settings, user_ids: Collection[str]) -> Counter[str]:
    """Delete the runs whose events name one of the users, from Dagster's files, too; returns how many, by user.

    Raises:
        RetryableError: Dagster holds its files.
    """
    home = settings.dagster_home
    shards = [path for path in (home / "history" / "runs").glob("*.db") if path.name != INDEX]
    named = {path.stem: found for path in shards if (found := _named(path, user_ids))}
    if not named:
        return Counter()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for run_id in named:
            if instance.has_run(run_id):
                instance.delete_run(run_id)
            (home / "history" / "runs" / f"{run_id}.db").unlink(missing_ok=True)
            shutil.rmtree(home / "storage" / run_id, ignore_errors=True)
    for file in (home / "history").rglob("*.db"):
        if file.name in (INDEX, "runs.db"):
            _compact(file)
    return Counter(user_id for found in named.values() for user_id in found)


def _named(shard: Path, user_ids: Collection[str]) -> list[str]:
    """Users whom the log of one run names."""
    patterns = {user_id: naming(user_id) for user_id in user_ids}
    found = set()
    with closing(sqlite3.connect(f"file:{shard}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as connection:
        for (event,) in connection.execute("SELECT event FROM event_logs"):
            found |= {user_id for user_id, pattern in patterns.items() if pattern.search(event.encode())}
    return sorted(found)


def _compact(file: Path) -> None:
    """Write a database anew: what was deleted stays in free pages and in the journal till then."""
    try:
        with closing(sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        raise RetryableError(f"{file} is in use: {error}; end `topshelf ui`, and run this again") from error
