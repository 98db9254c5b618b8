"""Of what may be shown to a user, what scores highest: loops over all products, or over what watches speak of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.compiling import compiled, inlined
from models.types import Bits, Bytes, Floats, Ints, Longs

_LOW = np.int64(2**32 - 1)
_TOGETHER, _SPARE = 32, 128
"""Products that are looked at at once, for few of them reach a list; and how many more of these are looked into than
are wanted, to stand in for items that the user may not see."""


class Rules(NamedTuple):
    """Of n items and B users: see types.CatalogueArrays and types.Filters. licensed: 0 for items that are not live."""

    maturity: Bytes
    licensed: Bits
    offsets: Longs
    watched: Ints
    limits: Bytes
    regions: Bits


class Products(NamedTuple):
    """Inner products (B, m) with the vectors of the items `columns` (m,), ascending."""

    values: Floats
    columns: Ints


class Notes(NamedTuple):
    """By item: when it was last taken up (or watched: then it may not be), and spoken of; and then its score, its
    recent score, the most that one watch added, and how many watches back that one lies. spoken: items spoken of, as
    far as counted."""

    taken: Longs
    told: Longs
    said: Floats
    spoken: Ints

    @classmethod
    def of(cls, n: int, most: int) -> Notes:
        """For n items, of which a user's watches speak of `most` or fewer."""
        times = np.zeros((2, n), np.int64)
        return cls(times[0], times[1], np.zeros((n, 4), np.float32), np.zeros(most, np.int32))


@inlined
def _key(score: np.float32, item: int) -> int:
    """Higher for a higher score, and of equal ones for a lower item."""
    bits = np.float32(score).view(np.int32)
    if bits < 0:
        bits ^= np.int32(0x7FFFFFFF)
    return (np.int64(bits) << 32) | (_LOW - np.int64(item))  # type: ignore[return-value]


@inlined
def _score(key: int) -> np.float32:
    """The score that is in a key."""
    bits = np.int32(key >> 32)
    if bits < 0:
        bits ^= np.int32(0x7FFFFFFF)
    return np.int32(bits).view(np.float32)


@compiled
def _empty(keys: Longs, count: int, into: Ints) -> None:
    """The items of the highest keys, the highest first."""
    ordered = np.sort(keys[:count])
    for place in range(min(count, len(into))):
        into[place] = _LOW - (ordered[count - 1 - place] & _LOW)


@compiled
def _keep(keys: Longs) -> int:
    """Bring the higher half of the keys to the front, the least of it first; the score of that one is the bar now."""
    half = len(keys) // 2
    ordered = np.partition(keys, half)
    keys[:half] = ordered[half:]
    return half


@compiled
def nearest(user: int, time: int, products: Products, rules: Rules, notes: Notes, keys: Longs, into: Ints) -> None:
    """The len(into) = len(keys) / 2 highest products that the user may see."""
    values = products.values[user]
    peaks = np.empty((len(values) + _TOGETHER - 1) // _TOGETHER, np.float32)
    for block in range(len(peaks)):
        peak = np.float32(-np.inf)
        for place in range(block * _TOGETHER, min((block + 1) * _TOGETHER, len(values))):
            peak = max(peak, values[place])
        peaks[block] = peak
    enough = len(into) + _SPARE
    bar = np.float32(-np.inf)
    if enough < len(peaks):
        # So many products are at least this high; of those lower none is wanted, unless many of these may not be seen.
        bar = np.partition(peaks, len(peaks) - enough)[len(peaks) - enough]
    count = _above(bar, user, time, peaks, products, rules, notes, keys)
    if count < len(into) and bar > -np.inf:
        count = _above(np.float32(-np.inf), user, time, peaks, products, rules, notes, keys)
    _empty(keys, count, into)


@compiled
def _above(
    bar: np.float32, user: int, time: int, peaks: Floats, products: Products, rules: Rules, notes: Notes, keys: Longs
) -> int:
    """Keys of the products from `bar` on of items that the user may see, the highest len(keys) / 2 among them at least;
    how many keys there are."""
    values, columns = products.values[user], products.columns
    licensed, maturity, limit, region = rules.licensed, rules.maturity, rules.limits[user], rules.regions[user]
    count = 0
    for block in range(len(peaks)):
        if peaks[block] < bar:
            continue
        for place in range(block * _TOGETHER, min((block + 1) * _TOGETHER, len(values))):
            if values[place] >= bar:
                item = columns[place]
                if (licensed[item] & region) != 0 and maturity[item] <= limit and notes.taken[item] != time:
                    keys[count] = _key(values[place], item)
                    count += 1
                    if count == len(keys):
                        count = _keep(keys)
                        bar = _score(keys[0])
    return count


@compiled
def co_watched(user: int, time: int, spoken: int, rules: Rules, notes: Notes, keys: Longs, into: Ints) -> None:
    """The len(into) = len(keys) / 2 highest scores above 0 of items that the user may see."""
    licensed, maturity, limit, region = rules.licensed, rules.maturity, rules.limits[user], rules.regions[user]
    count, bar = 0, np.float32(0)
    for place in range(spoken):
        item = notes.spoken[place]
        score = notes.said[item, 0]
        if score <= 0 or score < bar:
            continue
        if (licensed[item] & region) != 0 and maturity[item] <= limit and notes.taken[item] != time:
            keys[count] = _key(score, item)
            count += 1
            if count == len(keys):
                count = _keep(keys)
                bar = _score(keys[0])
    _empty(keys, count, into)
