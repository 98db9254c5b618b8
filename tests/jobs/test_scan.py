"""Reading a table whose rows were replaced in place, without Spark."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from jobs.lake import Lake
from jobs.scan import readable
from jobs.tables import REJECTS, Table

ROWS = replace(REJECTS, name="rows", key=("line",))


def write(lake: Lake, table: Table, rows: dict[int, str]) -> None:
    """One file of rows, each with a number and a reason."""
    values = [("i", "f", number, reason, "") for number, reason in rows.items()]
    lake.upsert(table, lake.spark.createDataFrame(values, table.schema).coalesce(1))


@pytest.mark.parametrize("marked", [True, False])
def test_replaced_rows_are_read_once_and_new(lake: Lake, marked: bool) -> None:
    table = replace(ROWS, deletion_vectors=marked)
    write(lake, table, dict.fromkeys(range(6), "old"))
    write(lake, table, {2: "new", 7: "new"})
    written = DeltaTable(lake.path(table))
    assert pa.table(written.deletion_vectors()).num_rows == (1 if marked else 0)
    with duckdb.connect(":memory:") as connection:
        connection.register("rows", readable(written))
        assert connection.sql("SELECT reason, list(line ORDER BY line) FROM rows GROUP BY 1 ORDER BY 1").fetchall() == [
            ("new", [2, 7]),
            ("old", [0, 1, 3, 4, 5]),
        ]
        assert connection.sql("SELECT count(*) FROM rows AS a JOIN rows AS b USING (line)").fetchall() == [(7,)]
        connection.register("before", readable(DeltaTable(lake.path(table), version=0), ["line"]))
        assert connection.sql("SELECT CAST(sum(line) AS int) FROM before").fetchall() == [(15,)]
