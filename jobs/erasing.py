"""Erasing users from Delta tables, down to the bytes of their files and logs. It ends each table's older time travel.

A row that is deleted stays in files of earlier versions, and a column's least and greatest values, ids among them, in
the log's entry for each file. So the rows go, files with rows marked as gone are written anew, files that the newest
version does not need are removed, and so is the log before a checkpoint of that version.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs import states
from jobs.lake import DELTAS_OWN, KEPT_FILES, Lake
from jobs.tables import PUBLICATIONS, REJECTED_EVENTS, REJECTS, TABLES, USER_FEATURES, Table

RAW = {REJECTS: "row", REJECTED_EVENTS: "value"}
"""Tables of what could not be read, each with the column that has it as it came."""
FORGOTTEN = "(forgotten)"
"""Stands for an id in texts."""
_VERSIONED = re.compile(r"^(\d{20})\..+")
_WORD = r"[\p{L}\p{N}_]"


def personal() -> tuple[Table, ...]:
    """Tables that have rows of users, or texts that may name one."""
    return tuple(table for table in TABLES if "user_id" in table.columns or table in (*RAW, PUBLICATIONS))


def rows_naming(lake: Lake, table: Table, user_ids: Collection[str]) -> DataFrame:
    """Rows about these users, or whose texts name one."""
    rows = lake.read(table)
    if table in RAW:
        return rows.where(F.col(RAW[table]).cast("string").rlike(_standing_alone(user_ids)))
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
    told = states.hour_of(lake, table) if table is USER_FEATURES else None
    _keep_replaced(lake, table, "interval 0 hours")
    found = count(lake, table, user_ids)
    if found.total():
        _take_out(lake, table, user_ids)
    if table.deletion_vectors:
        lake.spark.sql(f"REORG TABLE delta.`{lake.path(table)}` APPLY (PURGE)")
    DeltaTable.forPath(lake.spark, lake.path(table)).vacuum()
    newest = _checkpoint(lake, table)
    # A log does not end with a checkpoint alone. What upkeep says of old files is in force with its next run.
    _keep_replaced(lake, table, DELTAS_OWN[KEPT_FILES])
    if told is not None:
        states.tell(lake, table, told)
    _end_history(lake, table, newest)
    return found


def _take_out(lake: Lake, table: Table, user_ids: Collection[str]) -> None:
    """By joins, never by a condition: Delta writes conditions down in its log."""
    if table is PUBLICATIONS:
        rows = rows_naming(lake, table, user_ids).localCheckpoint()
        named = _named(user_ids)
        checks = F.transform("checks", lambda check: check.withField("text", _without(check["text"], named)))
        lake.upsert(table, rows.withColumns({"checks": checks, "error": _without(F.col("error"), named)}))
    elif table in RAW:
        lake.remove(table, rows_naming(lake, table, user_ids).select(*table.key).localCheckpoint())
    else:
        lake.remove(table, _frame(lake, user_ids))


def _without(text: Column, named: str) -> Column:
    return F.regexp_replace(text, named, f"user {FORGOTTEN}")


def _frame(lake: Lake, user_ids: Collection[str]) -> DataFrame:
    return lake.spark.createDataFrame([(user_id,) for user_id in sorted(user_ids)], "user_id string")


def _standing_alone(user_ids: Collection[str]) -> str:
    """A Java pattern for an id as a word of its own, as it is or as JSON writes it, in rows whose form nobody knows."""
    forms = sorted({form for user_id in user_ids for form in (user_id, json.dumps(user_id)[1:-1])})
    return f"(?<!{_WORD})({'|'.join(_quoted(form) for form in forms)})(?!{_WORD})"


def _named(user_ids: Collection[str]) -> str:
    """A Java pattern for a user in texts of ours, which write `user ID`."""
    return f"user ({'|'.join(_quoted(user_id) for user_id in sorted(user_ids))})(?!{_WORD})"


def _quoted(user_id: str) -> str:
    return "".join(character if character.isalnum() else f"\\x{{{ord(character):x}}}" for character in user_id)


def _keep_replaced(lake: Lake, table: Table, how_long: str) -> None:
    lake.spark.sql(f"ALTER TABLE delta.`{lake.path(table)}` SET TBLPROPERTIES ('{KEPT_FILES}' = '{how_long}')")


def _checkpoint(lake: Lake, table: Table) -> int:
    """Have the newest version stand in the log without those before it; returns its number. Delta has no SQL for it."""
    log = _jvm(lake).org.apache.spark.sql.delta.DeltaLog.forTable(lake.spark._jsparkSession, lake.path(table))
    log.checkpoint()
    return max(version for version, name, _ in _log_files(lake, table) if ".checkpoint" in name)


def _end_history(lake: Lake, table: Table, newest: int) -> None:
    """Remove the log before a checkpoint, and that version's entry, which names what it removed."""
    for version, name, path in _log_files(lake, table):
        if version < newest or (version == newest and ".checkpoint" not in name):
            _filesystem(lake, path).delete(path, False)


def _log_files(lake: Lake, table: Table) -> list[tuple[int, str, Any]]:
    """Version, name and Hadoop path of each file of a table's log."""
    folder = _jvm(lake).org.apache.hadoop.fs.Path(f"{lake.path(table)}/_delta_log")
    paths = [status.getPath() for status in _filesystem(lake, folder).listStatus(folder)]
    found = [(_VERSIONED.match(path.getName()), path) for path in paths]
    return [(int(match[1]), path.getName(), path) for match, path in found if match]


def _filesystem(lake: Lake, path: Any) -> Any:
    return path.getFileSystem(lake.spark._jsc.hadoopConfiguration())


def _jvm(lake: Lake) -> Any:
    jvm = lake.spark._jvm
    assert jvm is not None  # a session that runs has one
    return jvm
