"""From the stored examples, a stream of Arrow batches, to arrays of one size. Nothing here holds the whole table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.types import PROFILE_FIELDS, Bools, Floats, Ints, Longs

MAX_POSITION = 50
"""Positions from here on share one bias."""
Vocabularies = Mapping[str, Sequence[str]]


class ExampleSource(Protocol):
    """The stored training examples of one day."""

    def batches(self, splits: Collection[str]) -> Iterator[pa.RecordBatch]:
        """Batches of the TRAINING_EXAMPLES columns of these splits, in stored (shuffled) order, from the start."""
        ...


@dataclass(frozen=True)
class Examples:
    """m examples. history (m, H) right-aligned, -1 padded; profile (m, 4) numbers of PROFILE_FIELDS, 0 unknown."""

    item_no: Longs
    label: Floats
    weight: Floats
    impression: Bools
    history: Ints
    profile: Longs
    watches: Longs
    page: Longs
    position: Longs
    daypart: Longs
    weekday: Longs

    def __len__(self) -> int:
        return len(self.item_no)

    def take(self, rows: Any) -> Examples:
        """The examples at `rows`: a slice, numbers or a mask."""
        return Examples(*(getattr(self, field.name)[rows] for field in fields(self)))


def concatenate(parts: Sequence[Examples]) -> Examples:
    """The parts one after the other."""
    return Examples(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Examples)))


def padded_history(column: Any, width: int) -> Ints:
    """(m, width) the newest `width` of each row of an Arrow list<int> column, right-aligned, -1 on the left."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.int32)
    ends = np.cumsum(lengths)
    if not len(flat):
        return np.full((len(lengths), width), -1, np.int32)
    places = ends[:, None] - width + np.arange(width)
    inside = places >= (ends - lengths)[:, None]
    return np.where(inside, flat[np.maximum(places, 0)], np.int32(-1))


def numbers(values: Sequence[str | None], vocabulary: Sequence[str]) -> Longs:
    """1 + the place of each value in the vocabulary; 0 for None and for values it does not know."""
    known = {value: number + 1 for number, value in enumerate(vocabulary)}
    return np.array([known.get(value, 0) if value is not None else 0 for value in values], np.int64)


def profile_numbers(profile: Mapping[str, Sequence[str | None]], vocabularies: Vocabularies) -> Longs:
    """(B, 4) numbers of PROFILE_FIELDS."""
    return np.stack([numbers(profile[name], vocabularies[name]) for name in PROFILE_FIELDS], 1)


def decode(batch: pa.RecordBatch, vocabularies: Vocabularies, history: int) -> Examples:
    """One Arrow batch as arrays."""

    def column(name: str, empty: float) -> Any:
        return pc.fill_null(batch.column(name), pa.scalar(empty, batch.schema.field(name).type)).to_numpy(
            zero_copy_only=False
        )

    profile = {name: batch.column(name).to_pylist() for name in PROFILE_FIELDS}
    return Examples(
        item_no=column("item_no", -1).astype(np.int64),
        label=column("label", 0).astype(np.float32),
        weight=column("weight", 1).astype(np.float32),
        impression=pc.equal(batch.column("origin"), "impression").to_numpy(zero_copy_only=False).astype(bool),
        history=padded_history(batch.column("history"), history),
        profile=profile_numbers(profile, vocabularies),
        watches=column("watches", 0).astype(np.int64),
        page=numbers(batch.column("page").to_pylist(), vocabularies["page"]),
        position=np.clip(column("position", -1).astype(np.int64) + 1, 0, MAX_POSITION),
        daypart=column("daypart", 0).astype(np.int64),
        weekday=column("weekday", 0).astype(np.int64),
    )


def stream(
    source: ExampleSource,
    splits: Collection[str],
    vocabularies: Vocabularies,
    history: int,
    size: int,
    seed: Sequence[int],
    limit: int | None = None,
    skip: int = 0,
    window: int = 64,
) -> Iterator[Examples]:
    """Batches of exactly `size` examples (the last one may be smaller), shuffled within a window of batches.

    The same seed gives the same batches. limit: examples, at most, once `skip` of them were passed over; the stream
    goes on at its start where it ends before that, so that epochs of a large table read different parts of it.
    """
    rng = np.random.default_rng(list(seed))
    held: list[Examples] = []
    waiting = 0
    for batch in _window(source, splits, skip, limit):
        held.append(decode(batch, vocabularies, history))
        waiting += len(batch)
        if waiting >= size * window:
            shuffled = _shuffled(held, rng)
            whole = waiting // size * size
            yield from (shuffled.take(slice(start, start + size)) for start in range(0, whole, size))
            held, waiting = [shuffled.take(slice(whole, None))], waiting - whole
    if waiting:
        shuffled = _shuffled(held, rng)
        yield from (shuffled.take(slice(start, start + size)) for start in range(0, waiting, size))


def _window(source: ExampleSource, splits: Collection[str], skip: int, limit: int | None) -> Iterator[pa.RecordBatch]:
    """`limit` rows from row `skip` on, then from the start, no row twice; all rows without a limit."""

    def rows(start: int, stop: int | None) -> Iterator[pa.RecordBatch]:
        passed = 0
        for batch in source.batches(splits):
            first, last = max(start - passed, 0), len(batch) if stop is None else min(stop - passed, len(batch))
            passed += len(batch)
            if first < last:
                yield batch.slice(first, last - first)
            if stop is not None and passed >= stop:
                return

    if limit is None:
        yield from rows(0, None)
        return
    left = limit
    for batch in rows(skip, skip + limit):
        left -= len(batch)
        yield batch
    if skip and left:
        yield from rows(0, min(skip, left))


def positives(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The watches that count as positive, each once: an impression that led to one tells of the same watch."""
    watched = pc.equal(batch.column("origin"), "watch")
    return batch.filter(pc.and_(watched, pc.equal(batch.column("label"), 1)))


def _shuffled(parts: Sequence[Examples], rng: np.random.Generator) -> Examples:
    joined = concatenate(parts)
    return joined.take(rng.permutation(len(joined)))


@dataclass
class Survey:
    """What one pass over the examples tells before any learning."""

    positives: Longs
    """(n,) positives of each item."""
    examples: int
    impressions: int
    vocabularies: dict[str, list[str]]
    """The values of PROFILE_FIELDS and of page, sorted."""

    @property
    def positive_examples(self) -> int:
        return int(self.positives.sum())


PAGES = ("home", "search", "similar")
"""Pages every model has a row for, whether or not it saw examples from them."""


def survey(source: ExampleSource, splits: Collection[str], n: int) -> Survey:
    """Count positives by item, and collect the vocabularies of the users' features."""
    counts = np.zeros(n, np.int64)
    values: dict[str, set[str]] = {name: set() for name in PROFILE_FIELDS} | {"page": set(PAGES)}
    examples = impressions = 0
    for batch in source.batches(splits):
        counts += np.bincount(positives(batch).column("item_no").to_numpy(), minlength=n)
        examples += len(batch)
        impressions += pc.sum(pc.equal(batch.column("origin"), "impression")).as_py() or 0
        for name, known in values.items():
            known.update(value for value in pc.unique(batch.column(name)).to_pylist() if value is not None)
    return Survey(counts, examples, impressions, {name: sorted(known) for name, known in values.items()})
