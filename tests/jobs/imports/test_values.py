from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, LongType, StringType

from jobs.imports import values
from jobs.imports.checking import Parser

BAD = "cannot be read"
TEXT = StringType()


def read(spark: SparkSession, parse: Parser, given: list[Any], kind: DataType = TEXT) -> list[Any]:
    """What each value is read as; BAD where it cannot be."""
    frame = spark.createDataFrame([(i, value) for i, value in enumerate(given)], f"i INT, v {kind.simpleString()}")
    value = parse(F.col("v"), kind)
    rows = frame.select("i", value.column.alias("value"), value.wrong.alias("wrong")).orderBy("i").collect()
    return [BAD if row["wrong"] else row["value"] for row in rows]


def test_moments(spark: SparkSession) -> None:
    given = {
        "964982703": (2000, 7, 30, 18, 45, 3),
        "964982703000": (2000, 7, 30, 18, 45, 3),
        "2024-01-28T15:30:00Z": (2024, 1, 28, 15, 30, 0),
        "2024-01-28 15:30": (2024, 1, 28, 15, 30, 0),
        "2024-01-28T15:30:00.500+02:00": (2024, 1, 28, 13, 30, 0, 500_000),
        "2024-01-28": (2024, 1, 28),
    }
    seconds = lambda column, kind: values.Value(F.unix_micros(values.moment(column, kind).column), F.lit(False))  # noqa: E731  # a parser of one line
    wanted = [int(datetime(*parts, tzinfo=UTC).timestamp() * 1e6) for parts in given.values()]
    assert read(spark, seconds, list(given)) == wanted
    nanoseconds = [1706455800_000_000_000, 1706455800]
    assert read(spark, seconds, nanoseconds, LongType()) == [1706455800_000_000] * 2


@pytest.mark.parametrize(
    ("parse", "given", "wanted"),
    [
        (values.moment, ["yesterday", "2024-13-01", "15:30", "2024", "28/01/2024", None], [BAD] * 3 + [..., BAD, None]),
        (values.whole, ["4", "4.0", "4.5", "four", "", None], [4, 4, BAD, BAD, BAD, None]),
        (values.number, ["4.5", "-1", "1e2", "NaN", "4,5"], [4.5, -1.0, 100.0, BAD, BAD]),
        (values.truth, ["true", "0", "YES", "maybe", None], [True, False, True, BAD, None]),
        (values.day, ["2024-01-28", "01-Jan-1995", "2024-02-30"], [date(2024, 1, 28), date(1995, 1, 1), BAD]),
        (values.words, ["Drama| Crime||Drama", "", None], [["Drama", "Crime"], [], []]),
    ],
)
def test_texts(spark: SparkSession, parse: Parser, given: list[Any], wanted: list[Any]) -> None:
    found = read(spark, parse, given)
    assert [value for value, want in zip(found, wanted, strict=True) if want is not ...] == [
        want for want in wanted if want is not ...
    ]
