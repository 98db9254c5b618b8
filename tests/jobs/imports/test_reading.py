from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from jobs.imports.layouts import Source
from jobs.imports.reading import BAD_COUNT, BAD_QUOTES, BAD_UTF8, read_rows

SPLIT = "spark.sql.files.maxPartitionBytes"


@pytest.fixture
def tiny_splits(spark: SparkSession) -> Iterator[None]:
    """Files are cut every 64 bytes, as a large one is every 128 MiB."""
    before = {name: spark.conf.get(name) for name in (SPLIT, "spark.sql.files.openCostInBytes")}
    spark.conf.set(SPLIT, "64")
    spark.conf.set("spark.sql.files.openCostInBytes", "1")
    yield
    for name, value in before.items():
        spark.conf.set(name, value)


def csv(path: Path, content: bytes, columns: tuple[str, ...] = ("item_id", "title")) -> Source:
    path.write_bytes(content)
    return Source("items", path, "csv", columns, header=True)


@pytest.mark.usefixtures("tiny_splits")
def test_line_numbers_are_true_wherever_spark_cuts_the_file(spark: SparkSession, tmp_path: Path) -> None:
    lines = ["item_id,title", *[f"{number},{'x' * (number % 40)}" for number in range(2, 200)]]
    rows = read_rows(spark, csv(tmp_path / "items.csv", "\n".join(lines).encode()))
    assert rows.frame.rdd.getNumPartitions() > 10
    assert {row["_line"] for row in rows.frame.collect()} == set(range(2, 200))
    assert all(row["_line"] == int(row["item_id"]) for row in rows.frame.collect())
    assert all(row["row"] == lines[row["_line"] - 1] for row in rows.raw.collect())


def test_the_form_of_a_csv_row(spark: SparkSession, tmp_path: Path) -> None:
    content = (
        b"item_id,title\r\n"
        b'1,"Hello, ""you"""\r\n'
        b"\r\n"
        b"3,one,too many\r\n"
        b"4\r\n"
        b'5,"open\r\n'
        b"6,caf\xe9\r\n"
        b"7,caf\xc3\xa9\r\n"
        b"8, \r\n"
    )
    found = read_rows(spark, csv(tmp_path / "items.csv", content)).frame.orderBy("_line").collect()
    assert [(row["_line"], row["_reason"], row["title"]) for row in found if row["_reason"] is None] == [
        (2, None, 'Hello, "you"'),
        (8, None, "café"),
        (9, None, None),
    ]
    assert {row["_line"]: row["_reason"] for row in found if row["_reason"]} == {
        4: BAD_COUNT, 5: BAD_COUNT, 6: BAD_QUOTES, 7: BAD_UTF8,
    }  # fmt: skip


@pytest.mark.parametrize(("encoding", "written"), [("latin-1", "Léon"), ("utf-8", "Léon")])
def test_old_movielens_files_are_latin_1_unless_all_is_utf_8(
    spark: SparkSession, tmp_path: Path, encoding: str, written: str
) -> None:
    path = tmp_path / "movies.dat"
    path.write_bytes(f"1::{written} (1994)::Action|Drama\n2::Heat (1995)\n".encode(encoding))
    source = Source("items", path, "split", ("item_id", "title", "genres"), "::", latin1=True)
    first, second = read_rows(spark, source).frame.orderBy("_line").collect()
    assert (first["_line"], first["_reason"], first["title"]) == (1, None, "Léon (1994)")
    assert (second["_line"], second["_reason"]) == (2, BAD_COUNT)


def test_parquet_rows_are_numbered_in_each_part(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "items"
    folder.mkdir()
    pq.write_table(pa.table({"Item_ID": ["a", "b"], "year": [1999, None]}), folder / "p0.parquet")
    pq.write_table(pa.table({"Item_ID": ["c"], "year": [2001]}), folder / "p1.parquet")
    rows = read_rows(spark, Source("items", folder, "parquet"))
    found = rows.frame.orderBy("_file", "_line").collect()
    assert [(row["_file"], row["_line"], row["item_id"], row["year"]) for row in found] == [
        ("items/p0.parquet", 1, "a", 1999), ("items/p0.parquet", 2, "b", None), ("items/p1.parquet", 1, "c", 2001),
    ]  # fmt: skip
    assert {row["row"] for row in rows.raw.collect()} == {
        '{"item_id":"a","year":1999}', '{"item_id":"b"}', '{"item_id":"c","year":2001}',
    }  # fmt: skip
