"""What an item is about, as tokens: the part of its vector that needs no watch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from models.types import Longs

MIN_COUNT = 2
"""A token of a single item says nothing about others."""
MAX_TOKENS = 50_000
MAX_WORDS = 64
"""Distinct words taken from the description of one item."""
MAX_CAST = 10
WORD = re.compile(r"[^\W\d_]{3,}")
COLUMNS = ("title", "description", "genres", "cast", "director", "year", "rating")


@dataclass(frozen=True)
class Bags:
    """A bag of token numbers for each of n items: offsets (n+1,) into the flat ids."""

    offsets: Longs
    ids: Longs

    def __len__(self) -> int:
        return len(self.offsets) - 1


def item_tokens(row: dict[str, Any]) -> list[str]:
    """Tokens of one item (a row with COLUMNS, None where unknown), none twice, in a fixed order."""
    tokens = [f"genre:{genre}" for genre in row["genres"] or ()]
    tokens += [f"cast:{name}" for name in (row["cast"] or ())[:MAX_CAST]]
    if row["director"]:
        tokens.append(f"director:{row['director']}")
    if row["year"] is not None:
        tokens += [f"year:{row['year']}", f"decade:{row['year'] // 10 * 10}"]
    if row["rating"]:
        tokens.append(f"rating:{row['rating']}")
    tokens += [f"title:{word}" for word in WORD.findall((row["title"] or "").lower())]
    words = dict.fromkeys(WORD.findall((row["description"] or "").lower()))
    tokens += [f"word:{word}" for word in list(words)[:MAX_WORDS]]
    return list(dict.fromkeys(tokens))


def all_tokens(items: pa.Table) -> Iterator[list[str]]:
    """Tokens of every row of `items`, in its order, a slice of the table in memory at a time."""
    for batch in items.select(list(COLUMNS)).to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            yield item_tokens(row)


def build_vocabulary(items: pa.Table) -> list[str]:
    """Tokens that at least MIN_COUNT items share, the most frequent MAX_TOKENS, most frequent first."""
    counts: Counter[str] = Counter()
    for tokens in all_tokens(items):
        counts.update(tokens)
    kept = sorted((-count, token) for token, count in counts.items() if count >= MIN_COUNT)
    return [token for _, token in kept[:MAX_TOKENS]]


def encode(items: pa.Table, vocabulary: Sequence[str]) -> Bags:
    """Bags of the tokens that the vocabulary knows; others, as newer items may have, are left out."""
    numbers = {token: number for number, token in enumerate(vocabulary)}
    lengths, ids = [0], []
    for tokens in all_tokens(items):
        known = [numbers[token] for token in tokens if token in numbers]
        ids += known
        lengths.append(len(known))
    return Bags(np.cumsum(lengths, dtype=np.int64), np.array(ids, np.int64))


def genre_vocabulary(items: pa.Table) -> list[str]:
    """All genres, most frequent first, equal counts by name."""
    counts = Counter(genre for genres in items["genres"].to_pylist() for genre in dict.fromkeys(genres or ()))
    return sorted(counts, key=lambda genre: (-counts[genre], genre))


def genre_matrix(items: pa.Table, genres: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(n, G) 1 where the item has the genre. G = len(genres)."""
    numbers = {genre: number for number, genre in enumerate(genres)}
    matrix = np.zeros((items.num_rows, len(genres)), np.float32)
    for item_no, own in enumerate(items["genres"].to_pylist()):
        for genre in own or ():
            if genre in numbers:
                matrix[item_no, numbers[genre]] = 1
    return matrix


def years(items: pa.Table) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(n, 2) decades since 2000, and 1 where the year is unknown."""
    values = items["year"].to_numpy(zero_copy_only=False).astype(np.float32)
    unknown = np.isnan(values)
    return np.stack([np.where(unknown, 0, (values - 2000) / 10), unknown.astype(np.float32)], 1).astype(np.float32)
