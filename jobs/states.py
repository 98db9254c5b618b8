"""State tables: what is known at the end of an hour. Each commit for an hour says so, in Delta's log.

What upkeep and erasures write is of no hour, and belongs to the newest one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from conf.errors import DataError
from conf.hours import Hour
from jobs.lake import Lake
from jobs.tables import Table

HOUR = "userMetadata"
"""What Delta calls the text that a commit is given."""
LEFT_AS_IT_WAS = ("RESTORE", "SET TBLPROPERTIES")
"""Delta's names of commits after which an hour's rows are what they were: where an earlier hour was put below them, or
an erasure was told of."""
LATEST = 20
"""Commits that are looked into one by one, before Spark reads the whole log, which takes seconds for a month's."""


def overwrite(lake: Lake, table: Table, rows: DataFrame, hour: Hour) -> None:
    """Replace a table by how things stand at the end of an hour.

    Where it tells of a later hour, that stays its newest version: `rows` become the version before, for `read`.
    """
    newest, told = lake.version(table), hour_of(lake, table)
    writer = lake.writer(table, rows, "overwrite").option(HOUR, str(hour))
    # A table of an earlier release lacks what this one adds.
    writer.option("mergeSchema", "true").save(lake.path(table))
    if newest is not None and told is not None and told > hour:
        with _committing(lake, told):
            _delta(lake, table).restoreToVersion(newest)


def merge(lake: Lake, table: Table, rows: DataFrame, gone: DataFrame, hour: Hour) -> None:
    """Bring a table from an earlier hour to `hour`: insert or replace `rows`, remove those of the keys `gone`."""
    if not gone.isEmpty():
        lake.remove(table, gone)
    if rows.isEmpty():
        tell(lake, table, hour)
        return
    with _committing(lake, hour):
        lake.upsert(table, rows)


def tell(lake: Lake, table: Table, hour: Hour) -> None:
    """Note that a table tells of `hour` as it is, by a commit that adds nothing."""
    text = f"{hour} from version {lake.version(table)}"  # always another, for Delta leaves out what changes nothing
    with _committing(lake, hour):
        lake.spark.sql(f"ALTER TABLE delta.`{lake.path(table)}` SET TBLPROPERTIES ('topshelf.told' = '{text}')")


def written_since(lake: Lake, table: Table, hour: Hour, version: int) -> bool:
    """Whether a commit after `version` has written rows of `hour`."""
    newest = lake.version(table) or 0
    commits = (lake.commit(table, number) for number in range(version + 1, newest + 1))
    return any(said.get(HOUR) == str(hour) and said["operation"] not in LEFT_AS_IT_WAS for said in commits)


@contextmanager
def _committing(lake: Lake, hour: Hour) -> Iterator[None]:
    """What is committed meanwhile is for an hour."""
    name = f"spark.databricks.delta.commitInfo.{HOUR}"
    lake.spark.conf.set(name, str(hour))
    try:
        yield
    finally:
        lake.spark.conf.unset(name)


def read(lake: Lake, table: Table, hour: Hour) -> DataFrame:
    """A table as it was written for `hour`. Raises DataError as `version` does."""
    return lake.read(table, version(lake, table, hour))


def version(lake: Lake, table: Table, hour: Hour) -> int:
    """The newest version that was written for `hour`.

    Raises:
        DataError: there is none that can still be read.
    """
    newest = lake.version(table)
    if newest is not None and hour_of(lake, table) == hour:
        return newest
    found = None if newest is None else _newest(lake, table, F.col(HOUR) == str(hour))
    if found is None:
        raise DataError(f"{table.name} are not those of {hour}: run that hour's `{table.name}` first")
    return found


def until(lake: Lake, table: Table, hour: Hour) -> DataFrame:
    """A table as it was written for `hour`, or else for the newest hour before.

    No rows where none can be read, or where those of an earlier release lack columns.
    """
    told = hour_of(lake, table)
    if told is None or not set(table.columns) <= set(lake.schema(table).names):
        return lake.spark.createDataFrame([], table.schema).limit(0)
    if told <= hour:
        return lake.read(table)
    found = _newest(lake, table, F.col(HOUR) <= str(hour))
    return lake.read(table).limit(0) if found is None else lake.read(table, found)


def hour_of(lake: Lake, table: Table) -> Hour | None:
    """The hour that the newest version of a table tells of; None: it was never written, or not for an hour."""
    newest = lake.version(table)
    if newest is None:
        return None
    for number in range(newest, max(newest - LATEST, -1), -1):
        told = lake.commit(table, number).get(HOUR)
        if told is not None:
            return Hour.parse(told)
    row = _commits(lake, table).orderBy(F.desc("version")).select(HOUR).first()
    return None if row is None else Hour.parse(row[0])


def _newest(lake: Lake, table: Table, of: Column) -> int | None:
    """The newest version, by hour and then by number, of those that `of` picks; None: none can still be read."""
    row = _commits(lake, table).where(of).orderBy(F.desc(HOUR), F.desc("version")).select("version").first()
    return int(row["version"]) if row is not None and lake.readable(table, int(row["version"])) else None


def _commits(lake: Lake, table: Table) -> DataFrame:
    """The commits of a table, as far as they are for an hour."""
    return _delta(lake, table).history().where(F.col(HOUR).isNotNull())


def _delta(lake: Lake, table: Table) -> DeltaTable:
    return DeltaTable.forPath(lake.spark, lake.path(table))
