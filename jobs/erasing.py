"""Erasing users from Delta tables, down to the bytes of their files and logs. It ends each table's older time travel.

A row that is deleted stays in files of earlier versions, and a column's least and greatest values, ids among them, in
the log's entry for each file. So the rows go, files with rows marked as gone are written anew, files that the newest
version does not need are removed, and so is the log before a checkpoint of that version.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.lake import KEPT_FILES, Lake
from jobs.tables import PUBLICATIONS, REJECTS, TABLES, Table

CHECKPOINTS = "delta.checkpointInterval"
HISTORY_FROM = "topshelf.historyFrom"
"""The version with which a table's history begins since the last erasure."""
AT_ONCE = {KEPT_FILES: "interval 0 hours", CHECKPOINTS: "1"}
FORGOTTEN = "(forgotten)"
"""Stands for an id in texts."""
_VERSIONED = re.compile(r"^(\d{20})\..+")
_WORD = r"[\p{L}\p{N}_]"


def personal() -> tuple[Table, ...]:
    """Tables that have rows of users, or texts that may name one."""
    return tuple(table for table in TABLES if "user_id" in table.columns or table in (REJECTS, PUBLICATIONS))


def rows_naming(lake: Lake, table: Table, user_ids: Collection[str]) -> DataFrame:
    """Rows about these users, or whose texts name one."""
    rows = lake.read(table)
    if table is REJECTS:
        return rows.where(F.col("row").rlike(_standing_alone(user_ids)))
    if table is PUBLICATIONS:
        named = _named(user_ids)
        texts = F.exists("checks", lambda check: check["text"].rlike(named))
        return rows.where(F.coalesce(texts, F.lit(False)) | F.coalesce(F.col("error").rlike(named), F.lit(False)))
    return rows.join(_frame(lake, user_ids), on="user_id", how="left_semi")


def count(lake: Lake, table: Table, user_ids: Collection[str]) -> Counter[str]:
    """How many rows are about each user, or name them."""
    if "user_id" in table.columns:
        rows = rows_naming(lake, table, user_ids).groupBy("user_id").count().collect()
        return Counter({row["user_id"]: row["count"] for row in rows})
    return Counter({user_id: rows_naming(lake, table, [user_id]).count() for user_id in user_ids})


def erase(lake: Lake, table: Table, user_ids: Collection[str]) -> Counter[str]:
    """Remove every trace of users from a table and its files; returns how many rows of each went or were changed.

    Nobody else may work on the lake meanwhile (`jobs.alone`). May be repeated, and stopped at any point.
    """
    delta = DeltaTable.forPath(lake.spark, lake.path(table))
    before = _properties(delta)
    _set(lake, table, AT_ONCE)
    found = count(lake, table, user_ids)
    if found.total():
        _take_out(lake, table, user_ids)
    if table.deletion_vectors:
        lake.spark.sql(f"REORG TABLE delta.`{lake.path(table)}` APPLY (PURGE)")
    delta.vacuum()
    _end_history(lake, table)
    # Killed before this, the next upkeep or erasure puts the first right; the second costs a little with each commit.
    _set(lake, table, {name: before.get(name) for name in AT_ONCE})
    return found


def _take_out(lake: Lake, table: Table, user_ids: Collection[str]) -> None:
    """By joins, never by a condition: Delta writes conditions down in its log."""
    if table is PUBLICATIONS:
        rows = rows_naming(lake, table, user_ids).localCheckpoint()
        named = _named(user_ids)
        checks = F.transform("checks", lambda check: check.withField("text", _without(check["text"], named)))
        lake.upsert(table, rows.withColumns({"checks": checks, "error": _without(F.col("error"), named)}))
    elif table is REJECTS:
        lake.remove(table, rows_naming(lake, table, user_ids).select(*table.key).localCheckpoint())
    else:
        lake.remove(table, _frame(lake, user_ids))


def _without(text: Column, named: str) -> Column:
    return F.regexp_replace(text, named, f"user {FORGOTTEN}")


def _frame(lake: Lake, user_ids: Collection[str]) -> DataFrame:
    return lake.spark.createDataFrame([(user_id,) for user_id in sorted(user_ids)], "user_id string")


def _standing_alone(user_ids: Collection[str]) -> str:
    """A Java pattern for an id as a word of its own, in rows whose form nobody knows."""
    return f"(?<!{_WORD})({'|'.join(_quoted(user_id) for user_id in sorted(user_ids))})(?!{_WORD})"


def _named(user_ids: Collection[str]) -> str:
    """A Java pattern for a user in texts of ours, which write `user ID`."""
    return f"user ({'|'.join(_quoted(user_id) for user_id in sorted(user_ids))})(?!{_WORD})"


def _quoted(user_id: str) -> str:
    return "".join(character if character.isalnum() else f"\\x{{{ord(character):x}}}" for character in user_id)


def _properties(delta: DeltaTable) -> dict[str, str]:
    row = delta.detail().select("properties").first()
    found: dict[str, str] = {} if row is None else dict(row["properties"])
    # What an erasure that was killed left is not what was meant.
    return {name: value for name, value in found.items() if AT_ONCE.get(name) != value}


def _set(lake: Lake, table: Table, properties: dict[str, Any]) -> None:
    path = f"delta.`{lake.path(table)}`"
    given = ", ".join(f"'{name}' = '{value}'" for name, value in properties.items() if value is not None)
    gone = ", ".join(f"'{name}'" for name, value in properties.items() if value is None)
    if given:
        lake.spark.sql(f"ALTER TABLE {path} SET TBLPROPERTIES ({given})")
    if gone:
        lake.spark.sql(f"ALTER TABLE {path} UNSET TBLPROPERTIES IF EXISTS ({gone})")


def _end_history(lake: Lake, table: Table) -> None:
    """Remove the log before one more commit, of nothing but a property. As every commit since `AT_ONCE`, it has a
    checkpoint; the entries of those before name what they removed."""
    _set(lake, table, {HISTORY_FROM: str((lake.version(table) or 0) + 1)})
    files = log_files(lake, table)
    newest = max(version for version, name, _ in files if ".checkpoint" in name)
    for version, _, path in files:
        if version < newest:
            _filesystem(lake, path).delete(path, False)


def log_files(lake: Lake, table: Table) -> Sequence[tuple[int, str, Any]]:
    """Version, name and Hadoop path of each file of a table's log."""
    jvm = lake.spark._jvm
    assert jvm is not None  # a session that runs has one
    folder = jvm.org.apache.hadoop.fs.Path(f"{lake.path(table)}/_delta_log")
    found = []
    for status in _filesystem(lake, folder).listStatus(folder):
        path = status.getPath()
        match = _VERSIONED.match(path.getName())
        if match:
            found.append((int(match[1]), path.getName(), path))
    return found


def _filesystem(lake: Lake, path: Any) -> Any:
    return path.getFileSystem(lake.spark._jsc.hadoopConfiguration())
