"""The serving artefact: everything the service needs beside the users' rows, as one immutable folder.

A folder `<root>/<artefact_id>/` holds .npy files (mapped into memory, so the workers of a machine share them), JSON
files, the search index (`stores.search`) in a folder, and manifest.json with the SHA-256 of each. The id is the digest
of the manifest: equal content, equal id.
Every array about items is indexed by item_no.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conf.errors import DataError
from conf.vocabulary import EVERYWHERE
from stores.artefact_parts import COLUMNS, TEXTS, ArtefactContent, ArtefactParts, check
from stores.folders import MANIFEST, publish_folder, read_folder
from stores.search import build_index
from stores.texts import Texts

FORMAT = 3
READABLE = (1, 2, FORMAT)
"""Format 1 has no search index; both before 3 have the same dayparts for all regions."""
SEARCH = "search"
ID_DIGITS = 32

_FORGOTTEN = ("forgotten", "forgotten_upto")
"""Arrays of the barrier list, which an artefact has where somebody was ever forgotten."""


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
    arrays = {name: np.asarray(getattr(content, name), dtype=kind) for name, (kind, _) in COLUMNS.items()}
    for name in TEXTS:
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
        texts: dict[str, Any] = {name: Texts(arrays[f"{name}.data"], arrays[f"{name}.offsets"]) for name in TEXTS}
        artefact = Artefact(
            **{name: arrays[name] for name in COLUMNS},
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
