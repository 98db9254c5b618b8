"""What every kind of row goes through: values read, checked, and the first of equal keys kept."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from jobs.imports.reading import FILE, LINE, REASON, Rows, first_reason
from jobs.imports.values import Value
from stores.base import MAX_USER_ID_BYTES

Parser = Callable[[Column, DataType], Value]

LONG_USER_ID = f"user_id is longer than {MAX_USER_ID_BYTES} bytes"


class Fields:
    """Reads a source's columns by our names and collects what is wrong, in the order asked."""

    def __init__(self, rows: Rows) -> None:
        self._types = rows.types
        self._checks: list[tuple[Column, str]] = [(F.col(REASON).isNotNull(), "")]

    def has(self, name: str) -> bool:
        return name in self._types

    def take(self, name: str, parse: Parser, *, required: bool = False) -> Column | None:
        """The parsed column, or None where the source has none of that name."""
        if name not in self._types:
            return None
        raw = F.col(f"`{name}`")
        value = parse(raw, self._types[name])
        if required:
            self.reject(value.column.isNull() & ~value.wrong, f"{name} is missing")
        self.reject(value.wrong, f"{name} cannot be read")
        return value.column

    def take_or_null(self, name: str, parse: Parser, kind: str) -> Column:
        value = self.take(name, parse)
        return F.lit(None).cast(kind) if value is None else value.cast(kind)

    def reject(self, wrong: Column, reason: str) -> None:
        """Reject rows where `wrong` is true (null counts as false), unless an earlier check did."""
        self._checks.append((wrong, reason))

    @property
    def reason(self) -> Column:
        form, *rest = self._checks
        return F.when(form[0], F.col(REASON)).otherwise(first_reason(rest))


def user_id(fields: Fields, parse: Parser) -> Column:
    column = fields.take("user_id", parse, required=True)
    if column is None:  # the header check asks for it
        raise AssertionError("no user_id column")
    fields.reject(F.octet_length(column) > MAX_USER_ID_BYTES, LONG_USER_ID)
    return column


def mark_repeats(rows: DataFrame, key: str, reason: str) -> DataFrame | None:
    """As `keep_first`, for many rows of which few repeat; None where none does. `rows` are kept, for they pass thrice.

    Only a 64-bit hash of each key is shuffled; the rows themselves move only where two hashes are equal.
    """
    sound = rows.where(F.col(REASON).isNull())
    hashed = F.xxhash64(key).alias("_hash")
    suspects = sound.groupBy(hashed).count().where("count > 1").select("_hash")
    if suspects.isEmpty():
        return None
    among = sound.select(FILE, LINE, REASON, key, hashed).join(suspects, "_hash", how="left_semi")
    again = keep_first(among, key, reason).where(F.col(REASON).isNotNull())
    repeats = again.select(FILE, LINE, F.col(REASON).alias("_again"))
    marked = rows.join(repeats, [FILE, LINE], how="left")
    return marked.withColumn(REASON, F.coalesce(REASON, "_again")).drop("_again")


def keep_first(rows: DataFrame, key: str, reason: str) -> DataFrame:
    """Of sound rows with an equal key, the first by file and line stays sound; the others get `reason`."""
    alone = F.concat_ws("\u001f", FILE, LINE)  # a rejected row competes with none
    window = Window.partitionBy(F.when(F.col(REASON).isNull(), F.col(key)).otherwise(alone)).orderBy(FILE, LINE)
    repeated = (F.row_number().over(window) > 1) & F.col(REASON).isNull()
    return rows.withColumn(REASON, F.when(repeated, F.lit(reason)).otherwise(F.col(REASON)))
