"""Texts (or Parquet's own types) to typed values. Each returns the value and where it is wrong.

A missing value is null and not wrong: what may be missing is for the table to say.
"""

from __future__ import annotations

from typing import NamedTuple

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, DateType, NumericType, StringType, TimestampNTZType, TimestampType

_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.]\d{1,9})?)?\s?(Z|[+-]\d{2}:\d{2})?)?$"
_NUMBER = r"^[+-]?(\d+([.]\d*)?|[.]\d+)([eE][+-]?\d{1,2})?$"
_WHOLE = r"^[+-]?\d{1,18}([.]0*)?$"
_DAY_MONTH_YEAR = r"^\d{2}-[A-Z][a-z]{2}-\d{4}$"


class Value(NamedTuple):
    column: Column
    wrong: Column
    """True where something is there that cannot be read."""


def text(column: Column, kind: DataType) -> Value:
    if isinstance(kind, StringType):
        return Value(column, F.lit(False))
    return Value(column.cast("string"), F.lit(False))


def number(column: Column, kind: DataType) -> Value:
    if isinstance(kind, NumericType):
        value = column.cast("double")
        return Value(F.when(~F.isnan(value), value), F.lit(False))
    value = F.when(_text(column).rlike(_NUMBER), _text(column).try_cast("double"))
    return Value(value, column.isNotNull() & value.isNull())


def whole(column: Column, kind: DataType) -> Value:
    """A whole number; `12.0` is one, `12.5` is not."""
    if isinstance(kind, NumericType):
        exact = column.cast("double")
        value = F.when(exact == F.floor(exact), exact.cast("long"))
        return Value(value, column.isNotNull() & ~F.isnan(exact) & value.isNull())
    value = F.when(_text(column).rlike(_WHOLE), _text(column).try_cast("decimal(38,6)").cast("long"))
    return Value(value, column.isNotNull() & value.isNull())


def truth(column: Column, kind: DataType) -> Value:
    lowered = F.lower(column.cast("string"))
    value = F.when(lowered.isin("true", "t", "yes", "y", "1"), F.lit(True)).when(
        lowered.isin("false", "f", "no", "n", "0"), F.lit(False)
    )
    return Value(value, column.isNotNull() & value.isNull())


def moment(column: Column, kind: DataType) -> Value:
    """A time in UTC: ISO 8601 (without an offset: UTC) or a number since 1970 in s, ms, µs or ns, by its size."""
    if isinstance(kind, TimestampType | TimestampNTZType | DateType):
        return Value(column.cast("timestamp"), F.lit(False))
    if isinstance(kind, NumericType):
        value = _since_1970(column.cast("decimal(38,6)"))
        return Value(value, column.isNotNull() & value.isNull())
    words = _text(column)
    value = F.when(words.rlike(_NUMBER), _since_1970(words.try_cast("decimal(38,6)"))).when(
        words.rlike(_ISO), words.try_cast("timestamp")
    )
    return Value(value, column.isNotNull() & value.isNull())


def day(column: Column, kind: DataType) -> Value:
    """A date: `2024-01-28`, `28-Jan-1995` (u.item), or any moment, of which the day is taken."""
    value = moment(column, kind)
    if not isinstance(kind, StringType):
        return Value(value.column.cast("date"), value.wrong)
    spelled = F.when(column.rlike(_DAY_MONTH_YEAR), F.try_to_date(column, "dd-MMM-yyyy"))
    found = F.coalesce(spelled, value.column.cast("date"))
    return Value(found, column.isNotNull() & found.isNull())


def words(column: Column, kind: DataType) -> Value:
    """A list: an array, or texts separated by `|`. Blanks and repeats are dropped; missing is an empty list."""
    parts = column.cast("array<string>") if isinstance(kind, ArrayType) else F.split(_text(column), r"\|")
    trimmed = F.transform(parts, lambda part: F.trim(part))  # noqa: PLW0108  # trim alone would be given the index, too
    kept = F.array_distinct(F.filter(trimmed, lambda part: part.isNotNull() & (part != "")))
    return Value(F.coalesce(kept, F.array().cast("array<string>")), F.lit(False))


def _text(column: Column) -> Column:
    return column.cast("string")


def _since_1970(value: Column) -> Column:
    """The unit follows from the size: in seconds, 1e11 is the year 5138."""
    size = F.abs(value)
    scale = (
        F.when(size >= 10**17, F.lit(1_000_000_000)).when(size >= 10**14, F.lit(1_000_000))
        .when(size >= 10**11, F.lit(1_000)).otherwise(F.lit(1))
    )  # fmt: skip
    micros = F.try_divide(value * F.lit(1_000_000), scale)
    return F.timestamp_micros(micros.cast("long"))
