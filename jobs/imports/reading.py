"""Files to Spark rows, each with its file, its true line number and what is wrong with its form.

Nothing here brings rows to the driver: it sees one number for each split of a file.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from conf.errors import DataError
from jobs.imports.layouts import Source, check_columns

FILE, LINE, REASON = "_file", "_line", "_reason"
SHOWN_CHARACTERS = 1000

BAD_UTF8 = "not valid UTF-8"
BAD_COUNT = "wrong number of columns"
BAD_QUOTES = "a quote is not closed on its line"


@dataclass(frozen=True)
class Rows:
    """The rows of one source: `_file`, `_line`, `_reason` (null: well-formed) and the source's own columns."""

    source: Source
    frame: DataFrame
    raw: DataFrame
    """`_file`, `_line` and `row`, the row as it stood, for every row. Read again only when asked for."""

    @property
    def types(self) -> dict[str, DataType]:
        """Type of each of the source's own columns; texts, unless the source is Parquet."""
        return {
            field.name: field.dataType for field in self.frame.schema.fields if field.name not in (FILE, LINE, REASON)
        }


def read_rows(spark: SparkSession, source: Source) -> Rows:
    """Read one source lazily.

    Raises:
        DataError: Parquet that cannot be read or lacks a required column.
    """
    return _read_parquet(spark, source) if source.format == "parquet" else _read_lines(spark, source)


def _read_lines(spark: SparkSession, source: Source) -> Rows:
    lines, all_utf8 = _numbered_lines(spark, source)
    latin1 = source.latin1 and not all_utf8
    text = F.decode(F.col("value").cast("binary"), "ISO-8859-1") if latin1 else F.col("value")
    lines = lines.select(FILE, LINE, F.col("value"), text.alias("text"))
    valid = F.lit(True) if latin1 else F.is_valid_utf8("value")
    if source.format == "csv":
        parsed = lines.withColumn("cells", F.from_csv("text", _csv_schema(source), _CSV_OPTIONS))
        cells = [F.col(f"cells.c{i}") for i in range(len(source.columns))]
        # An even number of quotes is what a closed record has, doubled quotes included.
        quotes = F.length("text") - F.length(F.replace("text", F.lit('"'), F.lit("")))
        wrong = [
            (quotes % 2 == 1, BAD_QUOTES),
            (F.col("cells").isNull() | F.col("cells.bad").isNotNull(), BAD_COUNT),
        ]
    else:
        parsed = lines.withColumn("cells", F.split("text", _literal_pattern(source.separator), -1))
        cells = [F.get("cells", F.lit(i)) for i in range(len(source.columns))]
        wrong = [(F.size("cells") != len(source.columns), BAD_COUNT)]
    reason = first_reason([(~valid, BAD_UTF8), *wrong])
    frame = parsed.select(
        FILE, LINE, reason.alias(REASON),
        *[_clean(cell).alias(name) for name, cell in zip(source.columns, cells, strict=True)],
    )  # fmt: skip
    shown = F.substring(F.make_valid_utf8("text"), 1, SHOWN_CHARACTERS)
    return Rows(source, frame, lines.select(FILE, LINE, shown.alias("row")))


def _numbered_lines(spark: SparkSession, source: Source) -> tuple[DataFrame, bool]:
    """`_file`, `_line` from 1 and `value` for every line that is not blank; and whether all of it is UTF-8.

    Spark hands a file out in splits and numbers rows only within a partition. One counting pass gives each split's
    first line and the number Spark gives to its first row; the rest is an addition. The file is cut into the same
    splits each time it is read in a session, so the second pass sees the numbers of the first.
    """
    try:
        lines = spark.read.text(str(source.path)).select(
            F.col("_metadata.file_block_start").alias("block"),
            F.monotonically_increasing_id().alias("serial"),
            F.col("value"),
        )
        blocks = (
            lines.groupBy("block")
            .agg(
                F.count("*").alias("lines"),
                F.min("serial").alias("first"),
                F.min(F.is_valid_utf8("value")).alias("utf8"),
            )
            .orderBy("block")
            .collect()
        )
    except Exception as error:
        raise DataError(f"{source.name}: cannot be read ({error})") from error
    before, shift = 0, {}
    for block in blocks:
        shift[block["block"]] = before - block["first"]
        before += block["lines"]
    starts = F.map_from_arrays(_longs(list(shift)), _longs(list(shift.values())))
    offset = F.lit(next(iter(shift.values()), 0)) if len(shift) <= 1 else F.element_at(starts, F.col("block"))
    first = 2 if source.header else 1
    numbered = lines.select(
        F.lit(source.path.name).alias(FILE), (F.col("serial") + offset + 1).cast("long").alias(LINE), "value"
    )
    kept = numbered.where((F.col(LINE) >= first) & (F.trim("value") != ""))
    return kept, all(block["utf8"] for block in blocks)


def _longs(values: list[int]) -> Column:
    return F.array(*[F.lit(value).cast("long") for value in values])


def _read_parquet(spark: SparkSession, source: Source) -> Rows:
    # pandas writes nanoseconds, which Spark reads only as whole numbers.
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    try:
        table = spark.read.parquet(str(source.path))
    except Exception as error:
        raise DataError(f"{source.name}: cannot be read as Parquet ({error})") from error
    names = table.columns
    lowered = [name.strip().lower() for name in names]
    check_columns(source, tuple(lowered))
    folder = f"{source.path.name}/" if source.path.is_dir() else ""
    keyed = table.select(
        F.concat(F.lit(folder), F.col("_metadata.file_name")).alias(FILE),
        (F.col("_metadata.row_index") + 1).alias(LINE),
        *[F.col(f"`{name}`").alias(low) for name, low in zip(names, lowered, strict=True)],
    )
    texts = [field.name for field in table.schema.fields if field.dataType.typeName() == "string"]
    broken = [(~F.is_valid_utf8(f"`{name.strip().lower()}`"), BAD_UTF8) for name in texts]
    frame = keyed.select(
        FILE, LINE, first_reason(broken).alias(REASON),
        *[
            _clean(F.col(f"`{low}`")).alias(low) if name in texts else F.col(f"`{low}`")
            for name, low in zip(names, lowered, strict=True)
        ],
    )  # fmt: skip
    row = F.to_json(F.struct(*[F.col(f"`{low}`") for low in lowered]))
    return Rows(source, frame, keyed.select(FILE, LINE, F.substring(row, 1, SHOWN_CHARACTERS).alias("row")))


_CSV_OPTIONS = {
    "mode": "PERMISSIVE", "columnNameOfCorruptRecord": "bad", "quote": '"', "escape": '"', "maxCharsPerColumn": "-1",
    "maxColumns": "20480",
}  # fmt: skip


def _csv_schema(source: Source) -> str:
    return ", ".join([*(f"c{i} STRING" for i in range(len(source.columns))), "bad STRING"])


def _literal_pattern(separator: str) -> str:
    return "".join(f"\\{character}" if character == "|" else character for character in separator)


def _clean(text: Column) -> Column:
    """Without blanks around it; an empty one is no value."""
    return F.nullif(F.trim(text), F.lit(""))


def first_reason(checks: list[tuple[Column, str]]) -> Column:
    """The text of the first check that is true; null where none is."""
    if not checks:
        return F.lit(None).cast("string")
    return F.coalesce(*[F.when(wrong, F.lit(text)) for wrong, text in checks])
