"""The full-text index of a catalogue, as it lies in an artefact's folder: how it is built, and how it is opened.

The index is tantivy's, in one segment whose document i is item_no i, so a hit needs no stored field to be known by. It
holds words that `fold` has made alike; whoever searches folds what is searched for in the same way. Equal catalogues
give equal bytes: tantivy's random name of the segment is replaced.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import tantivy

from conf.errors import DataError

FIELDS = ("title", "cast", "director", "genres", "description")
"""Fields of single words."""
WHOLE = "whole"
"""Field of whole titles: the first `MAX_WORDS` words, joined by spaces."""
YEAR = "year"
PRIOR = "prior"
"""Fast field: tantivy multiplies a score by log2(2 + prior), which `build_index` makes `prior_factor` of the title."""
SHORT_TITLE = 1.05
"""Factor of a title of one word; it falls to 1 with the title's length."""
MAX_WORDS = 12
MAX_WORD = 40
"""Characters of a word that count."""

ARTICLES = ("the", "a", "an")
"""Do not count in a title's length, where they lead it."""

_SEGMENT = "00000000-0000-4000-8000-000000000000"
_META = "meta.json"
_LEFT_BY_WRITERS = (".managed.json", ".tantivy-meta.lock", ".tantivy-writer.lock")
_HEAP_BYTES = 2_000_000_000
"""Up to so much memory the writer goes on with one segment. It takes what it needs: 0.1 GB for 100,000 items."""
_LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
"""Letters that have no decomposition, and what people type for them."""
_KEPT_CODES = 0x3000
_REMOVALS, _REMOVAL_SECONDS = 100, 0.005
_INSIDE = "-"
"""Stands for every sign that parts words without a space."""


@dataclass(frozen=True)
class SearchDocument:
    """What can be found of an item."""

    title: str
    cast: Sequence[str] = ()
    director: str | None = None
    genres: Sequence[str] = ()
    description: str | None = None
    year: int | None = None


@dataclass(frozen=True, eq=False)
class SearchIndex:
    """An opened index. Threads may share it."""

    schema: Any
    searcher: Any


class _Signs(dict[int, str | None]):
    """For str.translate: letters, digits and marks stay, accents and apostrophes go, the rest parts words."""

    def __missing__(self, code: int) -> str | None:
        kept = self._of(chr(code), code)
        if code < _KEPT_CODES:  # not all of Unicode: what people send decides how large this grows
            self[code] = kept
        return kept

    @staticmethod
    def _of(sign: str, code: int) -> str | None:
        if 0x300 <= code <= 0x36F:
            return None
        kind = unicodedata.category(sign)[0]
        if kind in "LNM":
            return sign
        return " " if kind in "ZC" else _INSIDE


_SIGNS = _Signs({ord(letter): plain for letter, plain in _LETTERS.items()})
_SIGNS |= {ord(sign): None for sign in "'’ʼ`´"} | {ord("&"): " and "}


def fold(text: str) -> str:
    """`text` without case, accents and signs. Words are parted by spaces, and by `-` where no space parted them.

    Takes any text, also half a surrogate pair. In other scripts than Latin, Greek and Cyrillic marks are parts of
    letters and stay.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", text).casefold().translate(_SIGNS))


def words(text: str) -> list[str]:
    """The folded words of `text` in order, each cut at `MAX_WORD` characters."""
    return [word[:MAX_WORD] for word in fold(text).replace(_INSIDE, " ").split()]


def prior_factor(title: str) -> float:
    """By how much a title's length lifts its scores: 1.05 for one word, nearly 1 for many; articles do not count."""
    found = words(title)
    return 1 + (SHORT_TITLE - 1) / max(len(found) - (found[:1] != [] and found[0] in ARTICLES), 1)


def build_index(folder: Path, documents: Sequence[SearchDocument]) -> None:
    """Write the index of `documents`, document i being item_no i, into the empty `folder`.

    Raises:
        DataError: the catalogue does not fit into one segment.
    """
    index = tantivy.Index(_schema(), path=str(folder))
    writer = index.writer(heap_size=_HEAP_BYTES, num_threads=1)
    for document in documents:
        writer.add_document(_document(document))
    writer.commit()
    writer.wait_merging_threads()
    _settle(folder, len(documents))


def open_index(folder: Path) -> SearchIndex:
    """Map an index into memory, read-only. The folder is left as it is, and may go away while the index is in use.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with _links_to(folder) as links:
            index = tantivy.Index.open(str(links))
            index.config_reader(reload_policy="manual")
            return SearchIndex(index.schema, index.searcher())
    except (OSError, ValueError) as error:
        raise DataError(f"the search index {folder} cannot be read: {error}") from error


@contextmanager
def _links_to(folder: Path) -> Iterator[Path]:
    """A folder of links, for tantivy locks the folder of every index that it opens by a file in it."""
    links = Path(tempfile.mkdtemp(prefix="topshelf-search-"))
    try:
        for file in folder.iterdir():
            (links / file.name).symlink_to(file.resolve())
        yield links
    finally:
        # A thread of tantivy's may be putting its lock there at the very moment; it does so once.
        for _ in range(_REMOVALS):
            shutil.rmtree(links, ignore_errors=True)
            if not links.exists():
                break
            time.sleep(_REMOVAL_SECONDS)


def _schema() -> Any:
    builder = tantivy.SchemaBuilder()
    for name in FIELDS:
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="basic")
    for name in (WHOLE, YEAR):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_float_field(PRIOR, fast=True)
    return builder.build()


def _document(item: SearchDocument) -> Any:
    made = tantivy.Document()
    made.add_text("title", _indexed([item.title]))
    made.add_text("cast", _indexed(item.cast))
    made.add_text("director", _indexed([item.director or ""]))
    made.add_text("genres", _indexed(item.genres))
    made.add_text("description", _indexed([item.description or ""]))
    made.add_text(WHOLE, " ".join(words(item.title)[:MAX_WORDS]))
    if item.year is not None:
        made.add_text(YEAR, str(item.year))
    made.add_float(PRIOR, 2 ** prior_factor(item.title) - 2)
    return made


def _indexed(texts: Iterable[str]) -> str:
    """Each word once; what signs part without a space also as one word, so that `spiderman` finds Spider-Man."""
    found: dict[str, None] = {}
    for text in texts:
        for chunk in fold(text).split():
            parts = [part for part in chunk.split(_INSIDE) if part]
            joined = ["".join(parts)] if len(parts) > 1 else []
            found.update(dict.fromkeys(part[:MAX_WORD] for part in parts + joined))
    return " ".join(found)


def _settle(folder: Path, documents: int) -> None:
    """Take away what only a writer needs, and give the segment a name that does not change from time to time."""
    for name in _LEFT_BY_WRITERS:
        (folder / name).unlink(missing_ok=True)
    meta = json.loads((folder / _META).read_bytes())
    found = [segment["max_doc"] for segment in meta["segments"]]
    if found != [documents] and documents:
        raise DataError(f"the search index has segments of {found} items and not one of {documents}: it is too large")
    for segment in islice(meta["segments"], 1):
        random, segment["segment_id"] = segment["segment_id"].replace("-", ""), _SEGMENT
        for file in folder.glob(f"{random}.*"):
            file.rename(file.with_name(_SEGMENT.replace("-", "") + file.suffix))
    (folder / _META).write_text(json.dumps(meta, sort_keys=True, indent=1))
