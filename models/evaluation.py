"""Users whose later items are known, and how high a ranking places those items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.batches import ExampleSource, padded_history, positives
from models.metrics import summary
from models.types import PROFILE_FIELDS, Floats, Ints, Longs, UserBatch

Flat = tuple[Longs, Ints]
"""Rows of different lengths: offsets (B+1,) into flat values."""
TOP = 50


@dataclass(frozen=True)
class Cases:
    """Users as they stood, the items they had seen, and the relevant ones that came after."""

    users: UserBatch
    seen: Flat
    relevant: Flat

    def __len__(self) -> int:
        return len(self.users)

    def chunks(self, size: int) -> Iterator[Cases]:
        """The cases in order, `size` at a time."""
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            users = UserBatch(
                self.users.history[rows],
                {name: values[rows] for name, values in self.users.profile.items()},
                self.users.watches[rows],
            )
            yield Cases(users, flat_slice(self.seen, rows), flat_slice(self.relevant, rows))


def flat_slice(flat: Flat, rows: slice) -> Flat:
    """Some consecutive rows of a Flat."""
    offsets, values = flat
    part = offsets[rows.start : rows.stop + 1]
    return part - part[0], values[part[0] : part[-1]]


def flat_of(column: Any) -> Flat:
    """An Arrow list<int> column as a Flat."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = column.flatten().to_numpy(zero_copy_only=False).astype(np.int32)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), values


def holdout_cases(holdout: pa.Table, history: int, limit: int) -> Cases:
    """Cases from a table of user_id, history, seen, relevant (lists), PROFILE_FIELDS and watches: its first `limit`."""
    table = holdout.slice(0, limit)
    users = UserBatch(
        padded_history(table["history"], history),
        {name: table[name].to_pylist() for name in PROFILE_FIELDS},
        table["watches"].to_numpy().astype(np.int32),
    )
    return Cases(users, flat_of(table["seen"]), flat_of(table["relevant"]))


def valid_cases(source: ExampleSource, history: int, limit: int) -> Cases:
    """Cases from the positives of split valid: the first `limit` users met, each at their earliest such example.

    The user's later positives of the split are the relevant items; the history is what counts as seen.
    """
    columns = ["user_id", "item_no", "history", "watches", *PROFILE_FIELDS]
    parts: list[pa.Table] = []
    users: set[str] = set()
    for batch in source.batches(["valid"]):
        liked = positives(batch)
        table = pa.table({name: liked.column(name) for name in columns})
        fresh = pc.unique(table["user_id"]).to_pylist()
        users.update(sorted(set(fresh) - users)[: max(limit - len(users), 0)])
        parts.append(table.filter(pc.is_in(table["user_id"], pa.array(sorted(users), pa.string()))))
    if not users:
        return _no_cases(history)
    table = pa.concat_tables(parts)
    length = pc.list_value_length(table["history"])
    table = table.append_column("length", length).sort_by(
        [
            ("user_id", "ascending"),
            ("watches", "ascending"),
            ("length", "ascending"),
            ("item_no", "ascending"),
        ]
    )
    owner = table["user_id"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]]))
    first = table.take(pa.array(starts))
    wanted = _distinct(np.concatenate([starts, [len(table)]]), table["item_no"].to_numpy().astype(np.int32))
    return Cases(
        UserBatch(
            padded_history(first["history"], history),
            {name: first[name].to_pylist() for name in PROFILE_FIELDS},
            first["watches"].to_numpy().astype(np.int32),
        ),
        flat_of(first["history"]),
        wanted,
    )


def _no_cases(history: int) -> Cases:
    nothing = (np.zeros(1, np.int64), np.zeros(0, np.int32))
    users = UserBatch(np.zeros((0, history), np.int32), {name: [] for name in PROFILE_FIELDS}, np.zeros(0, np.int32))
    return Cases(users, nothing, nothing)


def _distinct(offsets: Longs, values: Ints) -> Flat:
    """Each row of the Flat without its repeats, ascending."""
    owners = np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))
    top = int(values.max(initial=0)) + 1
    keys = np.unique(owners * top + values)
    counts = np.bincount(keys // top, minlength=len(offsets) - 1)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), (keys % top).astype(np.int32)


def mask(scores: Floats, flat: Flat) -> Floats:
    """`scores` (B, n) with -inf at each user's items of `flat`; changed in place."""
    offsets, items = flat
    scores[np.repeat(np.arange(len(scores)), np.diff(offsets)), items] = -np.inf
    return scores


def top_items(scores: Floats, k: int = TOP) -> Ints:
    """(B, k) item_no of the highest scores, equal ones by item_no, -1 where the score is -inf."""
    k = min(k, scores.shape[1])
    cut = np.partition(scores, scores.shape[1] - k, axis=1)[:, -k][:, None]
    # Everything above the k-th score is in; of those equal to it, the first by item_no.
    above = scores > cut
    equal = (scores == cut) & ((scores == cut).cumsum(1) <= k - above.sum(1, keepdims=True))
    items = np.nonzero(above | equal)[1].reshape(len(scores), k)
    found = np.take_along_axis(scores, items, 1)
    order = np.lexsort((items, -found), axis=1)
    items = np.take_along_axis(items, order, 1).astype(np.int32)
    return np.where(np.isneginf(np.take_along_axis(found, order, 1)), np.int32(-1), items)


def measure(cases: Cases, score: Callable[[Cases], Floats], prefix: str, chunk: int = 512) -> dict[str, float]:
    """Rank every item for every case by `score` (cases → (B, n)), seen items masked. See metrics.summary."""
    ranked = [top_items(mask(score(part), part.seen)) for part in cases.chunks(chunk)]
    if not ranked:
        return {}
    return summary(np.concatenate(ranked), cases.relevant, prefix)
