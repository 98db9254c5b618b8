"""The demo world's items: tastes they serve, popularity, releases, licences, ratings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sim import names

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

DAY_MS = 86_400_000
LATENT = 16
REGIONS = ("US", "GB", "DE", "FR", "BR", "IN", "JP")
NO_GENRE = -1
FOR_EVER = np.iinfo(np.int64).max
ALWAYS = np.iinfo(np.int64).min

_ZIPF = 0.9
_NEW_SHARE, _UPCOMING_SHARE = 0.12, 0.01
_MARKS = ("G", "PG", "PG-13", "R", "NC-17")
_GRIM, _MILD = ("Horror", "Crime", "Thriller", "War"), ("Family", "Animation", "Music", "Sport")


@dataclass(frozen=True)
class Catalogue:
    """Arrays of length n, one entry an item; times in ms since 1970."""

    vector: Floats
    """(n, LATENT): what the item is like."""
    quality: Floats
    weight: Floats
    """Zipf popularity, sums to 1."""
    genre: Ints
    """(n, 3) indices into names.GENRES, NO_GENRE pads; the primary one first."""
    maturity: Ints
    duration_min: Ints
    everywhere: NDArray[np.bool_]
    licensed: NDArray[np.bool_]
    """(n, regions)."""
    opens: Ints
    """From when on it may be shown: its release, or the start of its licence."""
    closes: Ints
    is_new: NDArray[np.bool_]
    """Released inside the world's days."""
    table: pa.Table

    def __len__(self) -> int:
        return len(self.weight)


def genre_vectors(rng: np.random.Generator) -> Floats:
    """(genres, LATENT), each of length 1."""
    return unit(rng.normal(size=(len(names.GENRES), LATENT)))


def make_catalogue(rng: np.random.Generator, count: int, start: int, end: int, genres: Floats) -> Catalogue:
    """`count` items of a world that lasts from `start` to `end` (ms since 1970, end exclusive)."""
    genre = _genres(rng, count, genres)
    director, directors = _directors(rng, count, genre[:, 0], genres)
    mixed = sum(
        share * np.where(genre[:, [i]] == NO_GENRE, 0.0, genres[genre[:, i]]) for i, share in enumerate((1.0, 0.6, 0.4))
    )
    vector = unit(mixed + 0.5 * directors[director] + 0.5 * unit(rng.normal(size=(count, LATENT))))
    weight = (rng.permutation(count) + 1.0) ** -_ZIPF
    weight /= weight.sum()

    opens, closes, release, is_new = _times(rng, count, start, end)
    maturity = _maturity(rng, genre[:, 0])
    everywhere, licensed = _licences(rng, count)
    movie_length = np.clip(rng.normal(108, 18, count), 70, 200).astype(np.int64)
    duration = np.where(rng.random(count) < 0.3, rng.integers(22, 60, count), movie_length)
    table = _table(
        rng, genre=genre, director=director, opens=opens, closes=closes, release=release, maturity=maturity,
        everywhere=everywhere, licensed=licensed, duration=duration,
    )  # fmt: skip
    quality = rng.normal(size=count) + 0.5 * is_new
    return Catalogue(
        vector, quality, weight, genre, maturity, duration, everywhere, licensed,
        np.maximum(opens, release), closes, is_new, table,
    )  # fmt: skip


def unit(vectors: Floats) -> Floats:
    return cast(Floats, vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def pick(rng: np.random.Generator, weights: Floats, count: int) -> Ints:
    """`count` indices drawn with probability proportional to `weights`."""
    bounds = np.cumsum(weights)
    found = np.searchsorted(bounds, rng.random(count) * bounds[-1], side="right")
    return cast(Ints, np.minimum(found, len(weights) - 1))


def _genres(rng: np.random.Generator, count: int, vectors: Floats) -> Ints:
    common = 1.0 / (np.arange(len(names.GENRES)) + 2.0) ** 0.8
    genre = np.full((count, 3), NO_GENRE)
    genre[:, 0] = pick(rng, common, count)
    # Genres go together when their vectors do.
    near = np.log(common) + 3.0 * (vectors @ vectors.T)
    np.fill_diagonal(near, -np.inf)
    order = np.argsort(-(near[genre[:, 0]] + rng.gumbel(size=(count, len(names.GENRES)))), axis=1)
    genre[:, 1] = np.where(rng.random(count) < 0.65, order[:, 0], NO_GENRE)
    genre[:, 2] = np.where((genre[:, 1] != NO_GENRE) & (rng.random(count) < 0.35), order[:, 1], NO_GENRE)
    return genre


def _directors(rng: np.random.Generator, count: int, primary: Ints, genres: Floats) -> tuple[Ints, Floats]:
    """Each item's director, who keeps to a genre, and the directors' vectors."""
    total = max(len(names.GENRES), count // 8)
    home = np.arange(total) % len(names.GENRES)
    vectors = unit(genres[home] + unit(rng.normal(size=(total, LATENT))))
    of_genre = total // len(names.GENRES)
    director = primary + len(names.GENRES) * (rng.random(count) ** 1.5 * of_genre).astype(np.int64)
    stray = rng.random(count) < 0.15
    return np.where(stray, rng.integers(0, total, count), director), vectors


def _times(rng: np.random.Generator, count: int, start: int, end: int) -> tuple[Ints, Ints, Ints, NDArray[np.bool_]]:
    """opens, closes, release (ms) and whether it is new. A few are still to come, or have lost their licence."""
    hour = DAY_MS // 24
    lot = rng.random(count)
    is_new = lot < _NEW_SHARE
    upcoming = (lot >= _NEW_SHARE) & (lot < _NEW_SHARE + _UPCOMING_SHARE)
    years_back = rng.exponential(11.0, count).clip(0.1, 70.0)
    hours = (end - start) // hour
    release: Ints = (start - years_back * 365.25 * DAY_MS).astype(np.int64) // DAY_MS * DAY_MS
    release = np.where(is_new, start + rng.integers(0, hours, count) * hour, release)
    release = np.where(upcoming, end + rng.integers(1, 14 * 24, count) * hour, release)
    fresh = is_new | upcoming
    late = ~fresh & (rng.random(count) < 0.03)
    leaves = ~fresh & (rng.random(count) < 0.06)
    opens = np.where(fresh, release, ALWAYS)
    opens = np.where(late, start + rng.integers(0, hours, count) * hour, opens)
    closes = np.where(leaves & ~late, start + rng.integers(hours // 3 + 1, 2 * hours + 1, count) * hour, FOR_EVER)
    return opens, closes, release, is_new


def _maturity(rng: np.random.Generator, primary: Ints) -> Ints:
    shift = np.zeros(len(names.GENRES))
    shift[[names.GENRES.index(genre) for genre in _GRIM]] = 1.0
    shift[[names.GENRES.index(genre) for genre in _MILD]] = -1.6
    return np.clip(np.round(rng.normal(2.0 + shift[primary], 0.8)), 0, 4).astype(np.int64)


def _licences(rng: np.random.Generator, count: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    everywhere = rng.random(count) < 0.75
    licensed = rng.random((count, len(REGIONS))) < 0.5
    licensed[:, 0] |= ~licensed.any(axis=1)
    return everywhere, licensed | everywhere[:, None]


def _table(
    rng: np.random.Generator, *, genre: Ints, director: Ints, opens: Ints, closes: Ints, release: Ints, maturity: Ints,
    everywhere: NDArray[np.bool_], licensed: NDArray[np.bool_], duration: Ints,
) -> pa.Table:  # fmt: skip
    count = len(genre)
    width = len(str(count))
    genre_names = [[names.GENRES[g] for g in row if g != NO_GENRE] for row in genre.tolist()]
    crew = names.people(rng, int(director.max()) + 1)
    actors = names.people(rng, max(30, count // 4))
    cast_at = (rng.random((count, 4)) ** 1.7 * len(actors)).astype(np.int64)
    casts = [list(dict.fromkeys(actors[i] for i in row)) for row in cast_at.tolist()]
    regions = [
        ["*"] if all_of_them else [REGIONS[i] for i in np.flatnonzero(row)]
        for all_of_them, row in zip(everywhere.tolist(), licensed, strict=True)
    ]
    day = (release // DAY_MS).astype("datetime64[D]")
    moments = pa.timestamp("ms", tz="UTC")
    return pa.table({
        "item_id": [f"title_{number:0{width}d}" for number in range(1, count + 1)],
        "title": names.titles(rng, count),
        "description": names.descriptions(rng, [row[0] for row in genre_names]),
        "genres": pa.array(genre_names, pa.list_(pa.string())),
        "cast": pa.array(casts, pa.list_(pa.string())),
        "director": [crew[i] for i in director.tolist()],
        "year": pa.array(day.astype("datetime64[Y]").astype(np.int64) + 1970, pa.int32()),
        "rating": [_MARKS[level] for level in maturity.tolist()],
        "maturity": pa.array(maturity, pa.int32()),
        "duration_min": pa.array(duration, pa.int32()),
        "regions": pa.array(regions, pa.list_(pa.string())),
        "available_from": pa.array(opens, moments, mask=opens == ALWAYS),
        "available_until": pa.array(closes, moments, mask=closes == FOR_EVER),
        "status": np.where(rng.random(count) < 0.005, "inactive", "active"),
        "release_date": pa.array(day, pa.date32()),
    })  # fmt: skip
