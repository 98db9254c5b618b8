"""The arrays that models take and give. B users, n items, d = the vectors' dimension, L = list length.

An item is known by its item_no, its row in every array about items; -1 pads arrays of item_no.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Bits = NDArray[np.uint64]
Bools = NDArray[np.bool_]

PROFILE_FIELDS = ("age_band", "gender", "region", "subscription_tier")
LOGIT_GRID = 4096
"""Logits are ordered on a grid of this many steps a unit, coarser than the noise of float32 sums."""


@dataclass(frozen=True)
class UserBatch:
    """What the user tower reads.

    history: (B, H) item_no, oldest to newest, right-aligned, -1 on the left.
    profile: for each of PROFILE_FIELDS the B values, None where unknown.
    watches: (B,) items watched in all.
    """

    history: Ints
    profile: dict[str, list[str | None]]
    watches: Ints

    def __len__(self) -> int:
        return len(self.history)


@dataclass(frozen=True)
class CandidateLists:
    """Ranked item_no, best first, -1 at the end of rows that are too short.

    similar (n, K), by_genre (G, K) in the catalogue's genre numbers, trending (T,), new (N,), popular (P,).
    """

    similar: Ints
    by_genre: Ints
    trending: Ints
    new: Ints
    popular: Ints


@dataclass(frozen=True)
class CatalogueArrays:
    """What filters read, each of length n. Times are epoch seconds, -inf and +inf where open.

    licensed: bit r for region r, EVERYWHERE for all; genres: bit g for genre number g.
    """

    active: Bools
    maturity: Bytes
    licensed: Bits
    available_from: NDArray[np.float64]
    available_until: NDArray[np.float64]
    genres: Bits
    primary_genre: Bytes


@dataclass(frozen=True)
class Filters:
    """What a batch of users may and would not see.

    watched: (offsets (B+1,), flat item_no); region_bit (B,): the bits of `licensed` that are acceptable;
    genre_weights (B, G): the user's weight of each genre, in the catalogue's genre numbers.
    """

    watched: tuple[Longs, Ints]
    maturity_limit: Bytes
    region_bit: Bits
    genre_weights: Floats


@dataclass(frozen=True)
class ScoredLists:
    """item_no (B, L) -1 padded, logit_q (B, L) in steps of 1/4096, source and anchor (B, L), vectors (B, d).

    simpler (B,): whose candidates the ranker gave no numbers, so that blend.SIMPLER_WEIGHTS ordered them.

    anchor: for SIMILAR how many watches back the anchor lies (0 the newest), for GENRE the genre number, else 31.
    """

    item_no: Ints
    logit_q: Ints
    source: Bytes
    anchor: Bytes
    vectors: Floats
    simpler: Bools
