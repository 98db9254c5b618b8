"""What a serving artefact holds, and what is refused of it before the service could trip over it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conf.errors import DataError
from conf.vocabulary import NO_GENRE
from stores.search import SearchDocument

MAX_REGIONS = 63
MAX_GENRES = 64

ARRAYS: Mapping[str, tuple[str, int]] = {
    "active": ("bool", 1),
    "maturity": ("uint8", 1),
    "licensed": ("uint64", 1),
    "available_from": ("float64", 1),
    "available_until": ("float64", 1),
    "genres": ("uint64", 1),
    "primary_genre": ("uint8", 1),
    "vectors": ("float32", 2),
    "context_items": ("float32", 2),
    "similar": ("int32", 2),
    "similar_score": ("float32", 2),
}
TABLES: Mapping[str, tuple[str, int]] = {
    "context_page": ("float32", 2),
    "context_daypart": ("float32", 3),
    "context_weekday": ("float32", 2),
}
COLUMNS = dict(ARRAYS) | dict(TABLES)
TEXTS = ("item_ids", "titles", "directors", "fragments")


@dataclass(frozen=True, eq=False)
class ArtefactParts:
    """What an artefact holds; n is the number of slots, that is, the highest item_no + 1."""

    item_ids: Sequence[str]
    titles: Sequence[str]
    directors: Sequence[str | None]
    fragments: Sequence[bytes]
    """From `encode_fragment`."""
    active: NDArray[np.bool_]
    maturity: NDArray[np.uint8]
    licensed: NDArray[np.uint64]
    """(n,) bit r: licensed in regions[r]; bit 63: everywhere."""
    regions: Sequence[str]
    available_from: NDArray[np.float64]
    """(n,) epoch seconds; -inf: always."""
    available_until: NDArray[np.float64]
    """(n,) epoch seconds, exclusive; inf: for ever."""
    genres: NDArray[np.uint64]
    """(n,) bit g: the item has genre_names[g]."""
    primary_genre: NDArray[np.uint8]
    """(n,) number of the genre named first; 255: none."""
    genre_names: Sequence[str]
    """At most 64; a name keeps its number in every later artefact (`extend_names`), for rows hold the numbers."""
    vectors: NDArray[np.float32]
    """(n, dim) in the two-tower space."""
    context_items: NDArray[np.float32]
    """(n, C) v(i): the item's part of the context term."""
    context_page: NDArray[np.float32]
    """(P, C), row p for context_pages[p]; row 0 for any other page."""
    context_pages: Sequence[str]
    context_daypart: NDArray[np.float32]
    """(R, 4, C) quarters of the UTC day, row r for viewers from context_regions[r]; row 0 for any others."""
    context_regions: Sequence[str]
    context_weekday: NDArray[np.float32]
    """(7, C) Monday first."""
    similar: NDArray[np.int32]
    """(n, K) item_nos most similar to each item, best first; -1 pads."""
    similar_score: NDArray[np.float32]
    """(n, K)."""
    popular: Mapping[str, NDArray[np.int32]]
    """item_nos, best first, by scope: global, trending, new, genre:X, segment:AGE_BAND/REGION."""
    segments: Sequence[str]
    """AGE_BAND/REGION; a row's segment is an index into these, so a name keeps its number as genres do."""
    model_version: str
    made_for: str
    """The hour."""


@dataclass(frozen=True, eq=False)
class ArtefactContent(ArtefactParts):
    """What goes into an artefact."""

    documents: Sequence[SearchDocument] = ()
    """(n,) what search finds an item by; none at all: the artefact has no search index."""
    forgotten: Collection[int] = ()
    """Hashes of all users on the barrier list, by `stores.barrier.hash_of`."""
    forgotten_upto: int = 0
    """Moment up to which the control record's entries are among them; 0: nobody was ever forgotten."""


def check(content: ArtefactParts) -> None:
    """Refuse content that the service could trip over.

    Raises:
        DataError: naming the field.
    """
    count = len(content.active)
    for name, (kind, dimensions) in COLUMNS.items():
        array = getattr(content, name)
        if array.dtype != np.dtype(kind) or array.ndim != dimensions:
            raise DataError(f"artefact: {name} is {array.dtype} of {array.ndim} dimensions, not {kind} of {dimensions}")
        if name in ARRAYS and len(array) != count:
            raise DataError(f"artefact: {name} has {len(array)} entries for {count} items")
    for name in TEXTS:
        if len(getattr(content, name)) != count:
            raise DataError(f"artefact: {name} has {len(getattr(content, name))} entries for {count} items")
    if len(content.regions) > MAX_REGIONS or len(content.genre_names) > MAX_GENRES:
        raise DataError(f"artefact: at most {MAX_REGIONS} regions and {MAX_GENRES} genres fit")
    named = content.primary_genre[content.primary_genre != NO_GENRE]
    if named.size and named.max() >= len(content.genre_names):
        raise DataError(f"artefact: primary_genre names genre {named.max()} of {len(content.genre_names)}")
    _check_context(content)
    if content.similar.shape != content.similar_score.shape:
        raise DataError("artefact: similar and similar_score differ in shape")
    for name, numbers in (("similar", content.similar), *content.popular.items()):
        lowest = -1 if name == "similar" else 0
        if numbers.size and not (numbers.min() >= lowest and numbers.max() < count):
            raise DataError(f"artefact: {name} names an item_no outside of 0 to {count - 1}")
    if "global" not in content.popular:
        raise DataError("artefact: popular has no list named global, which everybody can fall back on")


def _check_context(content: ArtefactParts) -> None:
    pages, regions, width = len(content.context_pages), len(content.context_regions), content.context_items.shape[1]
    shapes = ((pages, width), (regions, 4, width), (7, width))
    for name, shape in zip(TABLES, shapes, strict=True):
        if getattr(content, name).shape != shape or not shape[0]:
            raise DataError(f"artefact: {name} has shape {getattr(content, name).shape}, not {shape}; row 0 is needed")
