"""Training examples without the last of them, and what these say was watched."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.example_files import StoredExamples
from models.batches import positives
from models.context import answered
from models.types import Ints

VALID = 1
"""Days before those held out that validate, as in production."""
ALL_SPLITS = ("train", "valid", "holdout")
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Earlier:
    """The examples without those held out. later_from: of live data; None: examples keep the split that they have."""

    source: StoredExamples
    later_from: datetime | None

    def batches(self, splits: Collection[str]) -> Iterator[pa.RecordBatch]:
        """As of models.batches.ExampleSource; there is none of split holdout."""
        wanted = pa.array(sorted(set(splits) - {"holdout"}))
        for batch in self._split():
            kept = batch.filter(pc.is_in(batch.column("split"), value_set=wanted))
            if len(kept):
                yield kept

    def later(self) -> pa.Table:
        """What was held out."""
        return pa.Table.from_batches(
            [batch.filter(pc.equal(batch.column("split"), "holdout")) for batch in self._split()]
        )

    def _split(self) -> Iterator[pa.RecordBatch]:
        for batch in self.source.batches(ALL_SPLITS):
            if self.later_from is None:
                yield batch
                continue
            time = pc.cast(batch.column("timestamp"), pa.timestamp("us", "UTC"))
            later = pc.greater_equal(time, pa.scalar(self.later_from))
            valid = pc.greater_equal(time, pa.scalar(self.later_from - timedelta(days=VALID)))
            split = pc.if_else(later, "holdout", pc.if_else(valid, "valid", "train"))
            yield batch.set_column(batch.schema.get_field_index("split"), "split", split)


@dataclass(frozen=True)
class Watches:
    """m held-out watches. user (m,): a row of the lists; page (m,); moment (m,): epoch seconds of its choice."""

    user: NDArray[np.int64]
    item_no: Ints
    page: list[str | None]
    moment: Values


def watches(later: pa.Table) -> tuple[pa.Table, Watches]:
    """The first held-out row of each user, by which their list is made, and what they watched later.

    later: held-out examples. Items that the list's user had already watched are left out.
    """
    batch = later.combine_chunks().to_batches()[0]
    told = answered(batch)
    liked = pa.Table.from_batches([told if len(told) else positives(batch)])
    liked = liked.sort_by([("user_id", "ascending"), ("timestamp", "ascending"), ("item_no", "ascending")])
    ids = np.array(liked["user_id"].to_pylist(), object)
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    user = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(ids))))
    first = liked.take(pa.array(starts))
    seen = [set(history) for history in first["history"].to_pylist()]
    item_no = liked["item_no"].to_numpy().astype(np.int32)
    new = np.array([item not in seen[row] for row, item in zip(user, item_no.tolist(), strict=True)])
    moment = pc.cast(liked["timestamp"], pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy() / 1e6
    page = [name for name, kept in zip(liked["page"].to_pylist(), new, strict=True) if kept]
    return first, Watches(user[new], item_no[new], page, moment[new])
