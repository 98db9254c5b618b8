"""The stored training examples, streamed from their Parquet files without Spark."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyarrow import fs

from conf.errors import DataError
from jobs.tables import TRAINING_EXAMPLES

BATCH_ROWS = 16_384
COLUMNS = [column for column in TRAINING_EXAMPLES.columns if column not in TRAINING_EXAMPLES.partitions]


class StoredExamples:
    """One day of training_examples, in stored order, a batch in memory at a time."""

    def __init__(self, table_path: str, day: date) -> None:
        uris = DeltaTable(table_path).file_uris(file_pruning_predicate=[("day", "=", day.isoformat())])
        # Spark numbers the files of a sorted write in the order of its keys.
        self._uris = sorted(uris, key=lambda uri: PurePosixPath(uri).name)
        if not self._uris:
            raise DataError(f"training_examples has no rows of {day}: make them with `topshelf run --force`")

    def batches(self, splits: Collection[str]) -> Iterator[pa.RecordBatch]:
        """Batches of the rows of these splits.

        Raises:
            DataError: rows are not in the order of shuffle_key, so training would depend on how they were written.
        """
        wanted = pa.array(sorted(splits))
        last = None
        for uri in self._uris:
            filesystem, path = _opened(uri)
            with filesystem.open_input_file(path) as source:
                for batch in pq.ParquetFile(source).iter_batches(BATCH_ROWS, columns=COLUMNS):
                    last = _check_order(batch, last, uri)
                    kept = batch.filter(pc.is_in(batch.column("split"), value_set=wanted))
                    if len(kept):
                        yield kept


def _opened(uri: str) -> tuple[fs.FileSystem, str]:
    if "://" not in uri:
        return fs.LocalFileSystem(), uri
    filesystem, path = fs.FileSystem.from_uri(uri.replace("s3a://", "s3://", 1))  # s3a is Hadoop's name for it
    return filesystem, str(path)


def _check_order(batch: pa.RecordBatch, last: int | None, uri: str) -> int | None:
    keys = batch.column("shuffle_key").to_numpy()
    if len(keys) == 0:
        return last
    if (last is not None and keys[0] < last) or (keys[1:] < keys[:-1]).any():
        raise DataError(f"{uri} is not in the order of shuffle_key: make the examples again")
    return int(keys[-1])
