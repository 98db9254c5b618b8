"""Reading Delta tables without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deltalake import DeltaTable

DELETION_VECTORS = "deletionVectors"


class Scan:
    """A Delta table as a stream of Arrow batches, which DuckDB begins anew each time that it reads it.

    For tables with deletion vectors, which are heeded. Any other is read faster through `to_pyarrow_dataset`, where
    DuckDB chooses the columns.
    """

    def __init__(self, table: DeltaTable, columns: Sequence[str] | None) -> None:
        self._table = table
        self._columns = None if columns is None else list(columns)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        return self._table.scan(self._columns).__arrow_c_stream__(requested_schema)


def readable(table: DeltaTable, columns: Sequence[str] | None = None) -> Any:
    """What DuckDB can register to read a table. columns: the only ones that are needed; None: all."""
    if DELETION_VECTORS in (table.protocol().reader_features or ()):
        return Scan(table, columns)
    return table.to_pyarrow_dataset()
