"""Reading and writing the Delta tables. Every write checks and selects its table's schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from delta.tables import DeltaMergeBuilder, DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark import StorageLevel
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from conf.errors import DataError
from jobs.alone import Share
from jobs.tables import Table

KEPT_FILES, KEPT_LOG = "delta.deletedFileRetentionDuration", "delta.logRetentionDuration"
LOG_HOURS = 30 * 24
DELTAS_OWN = {KEPT_FILES: "interval 168 hours", KEPT_LOG: f"interval {LOG_HOURS} hours"}
"""What Delta does where a table does not say."""
ROWS_A_FILE = 1_000_000
"""Of what is added a little at a time: as few files as that makes."""
GONE = ("DELTA_VERSION_NOT_FOUND", "DELTA_VERSION_NOT_CONTIGUOUS", "DELTA_FILE_NOT_FOUND", "FILE_NOT_EXIST",
        "FileNotFoundException", "does not exist", "UNRESOLVED_COLUMN")  # fmt: skip
"""What errors say where the log or the files of an earlier version were removed, or are of an earlier release."""


@dataclass(frozen=True)
class Numbered:
    """A commit that is made once: Delta refuses it where the table has one of the app with this number or a higher."""

    app: str
    number: int


class Lake:
    """The Delta tables below one root folder (local or s3a://)."""

    def __init__(self, spark: SparkSession, root: str, share: Share | None = None) -> None:
        """share: kept with the lake, so that no erasure comes between."""
        self.spark = spark
        self._share = share
        self.root = root.rstrip("/")

    def path(self, table: Table) -> str:
        return f"{self.root}/{table.name}"

    def exists(self, table: Table) -> bool:
        return DeltaTable.isDeltaTable(self.spark, self.path(table))

    def version(self, table: Table) -> int | None:
        """Newest Delta version of a table; None before its first write."""
        if not self.exists(table):
            return None
        jvm = self.spark._jvm
        assert jvm is not None  # a session that runs has one
        # Delta's public way is the table's history, a Spark job of half a second.
        log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(self.spark._jsparkSession, self.path(table))
        unbound = jvm.scala.Option.empty()
        return int(log.update(False, unbound, unbound).version())

    def commit(self, table: Table, version: int) -> dict[str, Any]:
        """What Delta's log says of a commit, under the names of its `commitInfo`; empty where the log ends later."""
        jvm = self.spark._jvm
        assert jvm is not None  # a session that runs has one
        # Delta's public way is the table's history, a Spark job of half a second.
        path = jvm.org.apache.hadoop.fs.Path(self.path(table), f"_delta_log/{version:020}.json")
        files = path.getFileSystem(self.spark._jsc.hadoopConfiguration())
        if not files.exists(path):
            return {}
        lines = jvm.java.io.BufferedReader(jvm.java.io.InputStreamReader(files.open(path), "UTF-8"))
        try:
            # Most often the first one.
            found = (json.loads(line).get("commitInfo") for line in iter(lines.readLine, None))
            return next((info for info in found if info is not None), {})
        finally:
            lines.close()

    def schema(self, table: Table) -> StructType:
        """The columns that a table has, which exists; those it should have are `table.schema`."""
        return self.spark.read.format("delta").load(self.path(table)).schema

    def versions(self, *tables: Table) -> dict[str, int | None]:
        return {table.name: self.version(table) for table in tables}

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """The table, or no rows of its schema where it was never written."""
        if not self.exists(table):
            # With the limit Spark knows that there are none, and leaves out what would be joined with them.
            return self.spark.createDataFrame([], table.schema).limit(0)
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.path(table)).select(*table.columns)

    def need(self, table: Table, made_by: str) -> DataFrame:
        """The table, which must exist.

        Raises:
            DataError: it was never written; the text says which command writes it.
        """
        if not self.exists(table):
            raise DataError(f"the table {table.name} is not there yet ({self.path(table)}): run {made_by} first")
        return self.read(table)

    def append(self, table: Table, rows: DataFrame, rows_a_file: int = 0, numbered: Numbered | None = None) -> None:
        """rows_a_file: at most so many in a file, so that whoever reads it has as many parts; 0: as they come."""
        writer = self.writer(table, rows, "append").option("maxRecordsPerFile", rows_a_file)
        if numbered is not None:
            writer = writer.option("txnAppId", numbered.app).option("txnVersion", numbered.number)
        writer.save(self.path(table))

    def append_new(self, table: Table, rows: DataFrame, among: DataFrame, numbered: Numbered | None = None) -> int:
        """Append the rows whose key is not among those of some rows of the table; returns how many they were."""
        known = among.select(*table.key)
        fresh = settled(rows.join(known, on=list(table.key), how="left_anti"))
        count = fresh.count()
        if count:
            self.append(table, fresh.coalesce(1 + count // ROWS_A_FILE), numbered=numbered)
        return count

    def overwrite(self, table: Table, rows: DataFrame) -> None:
        """Replace the whole table in one commit."""
        self.writer(table, rows, "overwrite").save(self.path(table))

    def files(self, table: Table) -> list[str]:
        """The names of a table's files, with their folders."""
        return self.read(table).inputFiles() if self.exists(table) else []

    def readable(self, table: Table, version: int) -> bool:
        """Whether an earlier version is still there: its log, its files and the marks of its replaced rows. Upkeep ends
        them in time, and an erasure at once."""
        key = F.xxhash64(*table.key)
        try:
            self.read(table, version).agg(F.bit_xor(key)).collect()
        except (PySparkException, Py4JJavaError) as error:
            if any(sign in str(error) for sign in GONE):
                return False
            raise
        return True

    def replace(self, table: Table, rows: DataFrame, where: Mapping[str, str | int | date]) -> None:
        """Replace the partition that `where` names in one commit; a re-run leaves the same rows.

        Delta refuses rows that lie outside of that partition.
        """
        missing = set(where) - set(table.partitions)
        if missing or not where:
            raise ValueError(f"{table.name} is partitioned by {table.partitions}, not by {sorted(where)}")
        predicate = " AND ".join(f"{column} = {_literal(value)}" for column, value in where.items())
        self.writer(table, rows, "overwrite").option("replaceWhere", predicate).save(self.path(table))

    def upsert(self, table: Table, rows: DataFrame) -> None:
        """Insert rows with a new key, replace those with a known one. `rows` has each key once."""
        if not self.exists(table):
            self.append(table, rows)
            return
        self._merge(table, rows).whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()

    def insert(self, table: Table, rows: DataFrame) -> None:
        """Insert rows with a new key into a table that exists; known ones stay as they are, who else is writing or not.

        `rows` has each key once.
        """
        self._merge(table, rows).whenNotMatchedInsertAll().execute()

    def _merge(self, table: Table, rows: DataFrame) -> DeltaMergeBuilder:
        on = " AND ".join(f"old.{column} <=> new.{column}" for column in table.key)
        old = DeltaTable.forPath(self.spark, self.path(table)).alias("old")
        return old.merge(self._conform(table, rows).alias("new"), on)

    def remove(self, table: Table, keys: DataFrame) -> None:
        """Delete the rows whose key columns are those of a row of `keys`, which may have some of the key only."""
        on = " AND ".join(f"old.{column} <=> gone.{column}" for column in keys.columns)
        found = DeltaTable.forPath(self.spark, self.path(table)).alias("old")
        found.merge(keys.alias("gone"), on).whenMatchedDelete().execute()

    def delete(self, table: Table, where: Column) -> None:
        """Remove the rows that `where` names; whole partitions cost no rewriting."""
        DeltaTable.forPath(self.spark, self.path(table)).delete(where)

    def compact(self, table: Table) -> int:
        """Join small files into larger ones, and write files anew whose rows are mostly gone; rows stay as they are.

        Returns how many files became part of others.
        """
        done = DeltaTable.forPath(self.spark, self.path(table)).optimize().executeCompaction().first()
        return 0 if done is None else int(done["metrics"]["numFilesRemoved"])

    def remove_replaced(self, table: Table, hours: int) -> None:
        """Remove files that have not been part of the table for so many hours.

        What Delta keeps is a property of the table; a number given to its vacuum alone is passed over (4.4).
        """
        delta = DeltaTable.forPath(self.spark, self.path(table))
        kept = {KEPT_FILES: f"interval {hours} hours", KEPT_LOG: f"interval {max(hours, LOG_HOURS)} hours"}
        row = delta.detail().select("properties").first()
        known = {} if row is None else row["properties"]
        if any(known.get(name, default) != kept[name] for name, default in DELTAS_OWN.items()):
            properties = ", ".join(f"'{name}' = '{value}'" for name, value in kept.items())
            self.spark.sql(f"ALTER TABLE delta.`{self.path(table)}` SET TBLPROPERTIES ({properties})")
        delta.vacuum()

    def disk_bytes(self, table: Table) -> int:
        """Of a table's files, those included that only earlier versions have."""
        jvm = self.spark._jvm
        assert jvm is not None  # a session that runs has one
        path = jvm.org.apache.hadoop.fs.Path(self.path(table))
        files = path.getFileSystem(self.spark._jsc.hadoopConfiguration())
        return int(files.getContentSummary(path).getLength()) if files.exists(path) else 0

    def writer(self, table: Table, rows: DataFrame, mode: str) -> DataFrameWriter:
        """To save `rows` by, in the table's schema."""
        writer = self._conform(table, rows).write.format("delta").mode(mode).partitionBy(*table.partitions)
        # Delta takes it for a new table only.
        return writer.option("delta.enableDeletionVectors", str(table.deletion_vectors).lower())

    def _conform(self, table: Table, rows: DataFrame) -> DataFrame:
        """`rows` with exactly the table's columns, order, types and column comments.

        Raises:
            DataError: a column is missing or of a type that cannot be cast.
        """
        missing = [column for column in table.columns if column not in rows.columns]
        extra = [column for column in rows.columns if column not in table.columns]
        if missing or extra:
            raise DataError(f"{table.name}: missing columns {missing}, columns it does not have {extra}")
        try:
            return rows.to(_all_nullable(table.schema))
        except AnalysisException as error:
            raise DataError(f"{table.name}: {error}") from error


def settled(rows: DataFrame) -> DataFrame:
    """`rows`, worked out now, to be written to a table that they were read from.

    Where they were only kept, Spark would throw them away with the write, and plan all that they are made of once more.
    They cannot be made again: on a cluster two executors have each of them, so that one may be lost.
    """
    return rows.localCheckpoint(eager=True, storageLevel=StorageLevel.DISK_ONLY_2)


def _all_nullable(schema: StructType) -> StructType:
    """DataFrame.to refuses what Spark believes might be null, such as any column that was read from a file."""
    return StructType([StructField(field.name, field.dataType, True, field.metadata) for field in schema])


def _literal(value: str | int | date) -> str:
    return str(value) if isinstance(value, int) else f"'{value}'"


def write_json(path: Path, content: object) -> None:
    """Write a JSON file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1, sort_keys=True))
    partial.replace(path)
