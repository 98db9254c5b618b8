"""What users watched, in order, put together from the stored examples: the towers learn from whole histories."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.batches import ExampleSource, Vocabularies, positives, profile_numbers
from models.types import PROFILE_FIELDS, Bools, Ints, Longs

WAITING = 1 << 18
"""Rows read before those that are not their user's first lose their histories."""
ORDER = [("user_id", "ascending"), ("watches", "ascending"), ("length", "ascending"), ("item_no", "ascending")]


@dataclass(frozen=True)
class Sequences:
    """Histories of U users, oldest first, back to back: those of user u are items[offsets[u]:offsets[u + 1]].

    target: whether the place is an example, or only what was watched before the first one; watches: items that the
    user had watched in all before that place; profile (U, 4): numbers of PROFILE_FIELDS.
    """

    offsets: Longs
    items: Ints
    target: Bools
    watches: Ints
    profile: Longs


@dataclass(frozen=True)
class Windows:
    """Consecutive places of W histories: window w is items[start[w]:stop[w]] of the sequences, of user user[w].

    Every target of its places is learnt from, but for the first where it does not begin the history.
    """

    start: Longs
    stop: Longs
    user: Longs

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: Longs) -> Windows:
        """The windows at `rows`."""
        return Windows(self.start[rows], self.stop[rows], self.user[rows])


def read_sequences(
    source: ExampleSource, splits: Collection[str], vocabularies: Vocabularies, total: int, limit: int
) -> Sequences:
    """The positives of `splits`, of which there are `total`, by user.

    limit: positives held in memory, about; where there are more, those of a hashed share of the users.
    """
    share = min(1.0, limit / max(total, 1))
    rows, firsts, waiting = [], [], 0
    for batch in source.batches(splits):
        liked = positives(batch)
        if share < 1:
            liked = liked.filter(_chosen(liked.column("user_id"), share))
        columns = ["user_id", "item_no", "watches", "history", *PROFILE_FIELDS]
        table = pa.table({name: liked.column(name) for name in columns})
        table = table.append_column("length", pc.fill_null(pc.list_value_length(table["history"]), 0))
        rows.append(table.select(["user_id", "item_no", "watches", "length"]))
        firsts.append(table)
        waiting += len(table)
        if waiting > max(WAITING, 2 * len(firsts[0])):
            firsts, waiting = [_firsts(firsts)], 0
    if not rows:
        return _nobody()
    return _joined(pa.concat_tables(rows).sort_by(ORDER), _firsts(firsts), vocabularies)


def _chosen(users: pa.Array, share: float) -> pa.Array:
    encoded = users.dictionary_encode()
    lots = [zlib.crc32(user.encode()) < share * 2**32 for user in encoded.dictionary.to_pylist()]
    return pa.array(np.array(lots, bool)[encoded.indices.to_numpy()])


def _firsts(parts: list[pa.Table]) -> pa.Table:
    """The first row of each user, by user."""
    table = pa.concat_tables(parts).sort_by(ORDER)
    return table.take(pa.array(_starts(table)))


def _starts(table: pa.Table) -> Longs:
    owner = table["user_id"].combine_chunks().dictionary_encode()
    code = owner.indices.to_numpy() if isinstance(owner, pa.DictionaryArray) else owner.combine_chunks().indices
    code = np.asarray(code)
    return np.flatnonzero(np.concatenate([np.ones(min(len(code), 1), bool), code[1:] != code[:-1]])).astype(np.int64)


def _joined(rows: pa.Table, firsts: pa.Table, vocabularies: Vocabularies) -> Sequences:
    """What was watched before each user's first example, then the examples."""
    starts = _starts(rows)
    counts = np.diff(np.append(starts, len(rows)))
    before = firsts["length"].to_numpy().astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(before + counts)]).astype(np.int64)
    target = np.ones(offsets[-1], bool)
    target[_ranges(offsets[:-1], before)] = False
    items, watches = np.zeros(offsets[-1], np.int32), np.zeros(offsets[-1], np.int32)
    items[target], watches[target] = rows["item_no"].to_numpy(), rows["watches"].to_numpy()
    items[~target] = firsts["history"].combine_chunks().flatten().to_numpy()
    profile = {name: firsts[name].to_pylist() for name in PROFILE_FIELDS}
    return Sequences(offsets, items, target, watches, profile_numbers(profile, vocabularies))


def _ranges(starts: Longs, lengths: Longs) -> Longs:
    """start, start + 1, … of each range, back to back."""
    return np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())


def _nobody() -> Sequences:
    nothing = np.zeros(0, np.int32)
    return Sequences(np.zeros(1, np.int64), nothing, nothing.astype(bool), nothing, np.zeros((0, 4), np.int64))


def windows(sequences: Sequences, history: int, rng: np.random.Generator) -> Windows:
    """Every history in windows of at most history + 1 places that share their ends, from an offset at random.

    So each place but a history's first is in one window as something to be foretold from the places before it.
    """
    lengths = np.diff(sequences.offsets)
    offset = np.where(lengths > history + 1, rng.integers(0, history, len(lengths)), 0)
    # Cuts lie at offset, offset + history, …; window k of a user runs from cut k - 1 (or 0) to cut k, both included.
    count = np.maximum(1, -(-(lengths - 1 - offset) // history) + (offset > 0)) * (lengths > 0)
    user = np.repeat(np.arange(len(lengths)), count)
    number = _ranges(np.zeros(len(lengths), np.int64), count)
    shift = np.where(offset > 0, offset - history, 0)[user]
    start = np.maximum(shift + number * history, 0)
    stop = np.minimum(shift + (number + 1) * history + 1, lengths[user])
    base = sequences.offsets[user]
    return Windows(base + start, base + stop, user)


def steps(found: Windows, size: Longs, count: int, limit: int, rng: np.random.Generator) -> Iterator[Windows]:
    """Windows in random order, of `limit` examples together at most, in about `count` parts of equal size.

    size: examples in each window.
    """
    order = rng.permutation(len(found))
    upto = np.cumsum(size[order])
    order, upto = order[upto - size[order] < limit], upto[upto - size[order] < limit]
    if not len(order):
        return
    part = (upto - 1) * count // upto[-1]
    for group in np.split(order, np.flatnonzero(np.diff(part)) + 1):
        yield found.take(group)
