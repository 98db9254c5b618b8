"""The serving artefact: everything the service needs beside the users' rows, as one immutable folder.

A folder `<root>/<artefact_id>/` holds .npy files (mapped into memory, so the workers of a machine share them), JSON
files, the search index (`stores.search`) in a folder, and manifest.json with the SHA-256 of each. The id is the digest
of the manifest: equal content, equal id.
Every array about items is indexed by item_no.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conf.errors import DataError
from conf.vocabulary import EVERYWHERE, NO_GENRE
from stores.folders import MANIFEST, publish_folder, read_folder
from stores.search import SearchDocument, build_index
from stores.texts import Texts

FORMAT = 3
READABLE = (1, 2, FORMAT)
"""Format 1 has no search index; both before 3 have the same dayparts for all regions."""
SEARCH = "search"
MAX_REGIONS = 63
MAX_GENRES = 64
ID_DIGITS = 32

_ARRAYS: Mapping[str, tuple[str, int]] = {
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
_TABLES: Mapping[str, tuple[str, int]] = {
    "context_page": ("float32", 2),
    "context_daypart": ("float32", 3),
    "context_weekday": ("float32", 2),
}
_COLUMNS = dict(_ARRAYS) | dict(_TABLES)
_TEXTS = ("item_ids", "titles", "directors", "fragments")
_FORGOTTEN = ("forgotten", "forgotten_upto")
"""Arrays of the barrier list, which an artefact has where somebody was ever forgotten."""


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


@dataclass(frozen=True, eq=False)
class Artefact(ArtefactParts):
    """A loaded artefact. Its arrays are read-only views of files."""

    fragments: Texts
    artefact_id: str
    folder: Path
    search_folder: Path | None
    """For `stores.search.open_index`; None: it has no search index."""
    forgotten: NDArray[np.uint64]
    """(f,) as in ArtefactContent, ascending."""
    forgotten_upto: int
    """As in ArtefactContent."""

    def __len__(self) -> int:
        return len(self.active)

    def bars(self, hashed: int) -> bool:
        """Whether a user of this hash is on the artefact's barrier list."""
        place = int(np.searchsorted(self.forgotten, np.uint64(hashed)))
        return place < len(self.forgotten) and int(self.forgotten[place]) == hashed

    @cached_property
    def item_no(self) -> Mapping[str, int]:
        """item_no of each item_id."""
        return {item_id: number for number, item_id in enumerate(self.item_ids)}

    def region_bits(self, region: str | None) -> np.uint64:
        return region_bits(self.regions, region)

    def context_term(
        self, items: Any, page: str, daypart: int, weekday: int, region: str | None
    ) -> NDArray[np.float32]:
        """(k,) c(context)·v(i): what the context adds to the logit of each of k item_nos."""
        row = self.context_pages.index(page) if page in self.context_pages else 0
        zone = self.context_regions.index(region) if region in self.context_regions else 0
        context = self.context_page[row] + self.context_daypart[zone, daypart] + self.context_weekday[weekday]
        return np.asarray(self.context_items[items] @ context, dtype=np.float32)


def region_bits(regions: Sequence[str], region: str | None) -> np.uint64:
    """The licence bits that let a viewer in `region` see an item; an unknown region gets EVERYWHERE alone."""
    if region is None or region not in regions:
        return EVERYWHERE
    return EVERYWHERE | np.uint64(1) << np.uint64(regions.index(region))


def extend_names(before: Sequence[str], wanted: Iterable[str]) -> tuple[str, ...]:
    """The names of the artefact before, each with the number it had, then those that are new, in their order.

    Stored rows hold numbers of genres and segments, and are read with artefacts made long after them.
    """
    return tuple(dict.fromkeys([*before, *wanted]))


def licence_bits(regions: Sequence[str], licensed_in: Sequence[str]) -> np.uint64:
    """An item's licence bits from its list of regions; `*` means everywhere, no region means nowhere.

    Raises:
        ValueError: a region is not among `regions`.
    """
    bits = np.uint64(0)
    for region in licensed_in:
        bits |= EVERYWHERE if region == "*" else np.uint64(1) << np.uint64(regions.index(region))
    return bits


def encode_fragment(
    item_id: str, title: str, *, thumbnail: str | None, genres: Sequence[str], year: int | None, rating: str | None
) -> bytes:
    """The members of an answer's JSON object that do not depend on the user, without its braces."""
    members = {
        "item_id": item_id,
        "title": title,
        "thumbnail": thumbnail,
        "metadata": {"genre": list(genres), "year": year, "rating": rating},
    }
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()[1:-1]


def write_artefact(root: Path, content: ArtefactContent) -> str:
    """Write `content` below `root` and return its id. Whole or not at all; the same content is written once.

    Raises:
        DataError: an array has the wrong type or shape, or names a slot that does not exist.
    """
    check(content)
    if content.documents and len(content.documents) != len(content.active):
        raise DataError(f"artefact: documents has {len(content.documents)} entries for {len(content.active)} items")
    arrays = {name: np.asarray(getattr(content, name), dtype=kind) for name, (kind, _) in _COLUMNS.items()}
    for name in _TEXTS:
        data, offsets = Texts.pack([text or "" for text in getattr(content, name)])
        arrays[f"{name}.data"], arrays[f"{name}.offsets"] = data, offsets
    if content.forgotten_upto:
        arrays["forgotten"] = np.array(sorted(content.forgotten), dtype=np.uint64)
        arrays["forgotten_upto"] = np.array([content.forgotten_upto], dtype=np.int64)
    scopes = sorted(content.popular)
    lists = [np.asarray(content.popular[scope], dtype=np.int32) for scope in scopes]
    arrays["popular.items"] = np.concatenate([np.zeros(0, np.int32), *lists])
    arrays["popular.offsets"] = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    names = {
        "regions": list(content.regions),
        "genre_names": list(content.genre_names),
        "context_pages": list(content.context_pages),
        "context_regions": list(content.context_regions),
        "segments": list(content.segments),
        "popular": scopes,
    }
    head = {
        "format": FORMAT,
        "items": len(content.active),
        "model_version": content.model_version,
        "made_for": content.made_for,
    }
    folders = {SEARCH: partial(build_index, documents=content.documents)} if content.documents else {}
    return publish_folder(root, arrays, {"names": names}, head, ID_DIGITS, folders)


def load_artefact(root: Path, artefact_id: str, verify: bool = True) -> Artefact:
    """Map an artefact into memory.

    Args:
        verify: read every file once and compare its SHA-256; the manifest is always compared with the id.

    Raises:
        DataError: the folder is missing, or a file is missing, changed or not what this version writes.
    """
    folder = root / artefact_id
    manifest, arrays, documents = read_folder(folder, artefact_id, verify)
    if manifest.get("format") not in READABLE:
        raise DataError(f"{folder} has format {manifest.get('format')}, this version reads {READABLE[0]} to {FORMAT}")
    try:
        names = documents["names"]
        arrays["context_daypart"] = arrays["context_daypart"].reshape(-1, *arrays["context_daypart"].shape[-2:])
        bounds = arrays["popular.offsets"]
        lists = {scope: arrays["popular.items"][bounds[i] : bounds[i + 1]] for i, scope in enumerate(names["popular"])}
        texts: dict[str, Any] = {name: Texts(arrays[f"{name}.data"], arrays[f"{name}.offsets"]) for name in _TEXTS}
        artefact = Artefact(
            **{name: arrays[name] for name in _COLUMNS},
            item_ids=texts["item_ids"].strings(),
            titles=texts["titles"].strings(),
            directors=texts["directors"].strings(empty=None),
            fragments=texts["fragments"],
            regions=tuple(names["regions"]),
            genre_names=tuple(names["genre_names"]),
            context_pages=tuple(names["context_pages"]),
            context_regions=tuple(names.get("context_regions", ("",))),
            segments=tuple(names["segments"]),
            popular=lists,
            model_version=manifest["model_version"],
            made_for=manifest["made_for"],
            artefact_id=artefact_id,
            folder=folder,
            search_folder=folder / SEARCH if any(file.startswith(f"{SEARCH}/") for file in manifest["files"]) else None,
            forgotten=arrays.get("forgotten", np.zeros(0, np.uint64)),
            forgotten_upto=int(arrays["forgotten_upto"][0]) if "forgotten_upto" in arrays else 0,
        )
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(f"{folder} lacks a part of an artefact: {error!r}") from error
    check(artefact)
    return artefact


def same_but_for_forgotten(root: Path, artefact_id: str, other_id: str) -> bool:
    """Whether two artefacts answer alike, for they differ in the barrier list at most."""
    if artefact_id == other_id:
        return True
    found = []
    for each in (artefact_id, other_id):
        try:
            manifest = json.loads((root / each / MANIFEST).read_bytes())
        except (OSError, ValueError):
            return False
        for name in _FORGOTTEN:
            manifest["files"].pop(f"{name}.npy", None)
        found.append(manifest)
    return bool(found[0] == found[1])


def check(content: ArtefactParts) -> None:
    """Refuse content that the service could trip over.

    Raises:
        DataError: naming the field.
    """
    count = len(content.active)
    for name, (kind, dimensions) in _COLUMNS.items():
        array = getattr(content, name)
        if array.dtype != np.dtype(kind) or array.ndim != dimensions:
            raise DataError(f"artefact: {name} is {array.dtype} of {array.ndim} dimensions, not {kind} of {dimensions}")
        if name in _ARRAYS and len(array) != count:
            raise DataError(f"artefact: {name} has {len(array)} entries for {count} items")
    for name in _TEXTS:
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
    for name, shape in zip(_TABLES, shapes, strict=True):
        if getattr(content, name).shape != shape or not shape[0]:
            raise DataError(f"artefact: {name} has shape {getattr(content, name).shape}, not {shape}; row 0 is needed")
