"""Which files a folder holds: our own layout or one of the MovieLens ones."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from conf.errors import DataError

Kind = Literal["topshelf", "movielens", "movielens-dat", "movielens-100k"]
Format = Literal["csv", "split", "parquet"]

GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
"""Genre flags of u.item in order, where the folder has no u.genre."""

GENRE_FLAG = "genre:"
"""Prefix of a column that holds 1 when the item is of that genre."""

_MOVIELENS_NAMES = {"movieid": "item_id", "userid": "user_id"}
_REQUIRED = {
    "items": ("item_id",),
    "events": ("user_id", "item_id", "timestamp"),
    "users": ("user_id",),
    "tags": ("item_id", "tag"),
}


@dataclass(frozen=True)
class Source:
    """One file (or folder of Parquet parts) and how its rows are written."""

    role: str
    """items, events, users or tags."""
    path: Path
    format: Format
    columns: tuple[str, ...] = ()
    """Our names of its columns, in order; Parquet names its own."""
    separator: str = ","
    header: bool = False
    latin1: bool = False
    """Whether the file is Latin-1 unless all of it is valid UTF-8."""

    @property
    def name(self) -> str:
        return self.path.name + ("/" if self.path.is_dir() else "")


@dataclass(frozen=True)
class Layout:
    kind: Kind
    sources: Mapping[str, Source]

    @property
    def is_movielens(self) -> bool:
        return self.kind != "topshelf"


def detect(folder: Path) -> Layout:
    """Recognise the folder's layout by its file names.

    Raises:
        DataError: it is no folder, no layout fits, more than one fits, or a header lacks a required column.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: `topshelf import` takes the folder that holds the data files")
    readers: dict[str, Callable[[Path], Layout | None]] = {
        "items.csv, items.parquet or a folder items/ of Parquet parts (events and users likewise)": _topshelf,
        "MovieLens: movies.csv with ratings.csv": _movielens,
        "older MovieLens: movies.dat with ratings.dat": _movielens_dat,
        "MovieLens 100K: u.item with u.data": _movielens_100k,
    }
    found = [layout for read in readers.values() if (layout := read(folder)) is not None]
    if len(found) == 1:
        return found[0]
    if found:
        kinds = " and ".join(layout.kind for layout in found)
        raise DataError(f"{folder} holds files of {kinds}: keep each data set in a folder of its own")
    names = sorted(entry.name for entry in folder.iterdir())
    here = ", ".join(names[:10]) + (", …" if len(names) > 10 else "") if names else "nothing"
    raise DataError(f"{folder} has no layout we know. Looked for {'; '.join(readers)}. Found {here}. See docs/data.md")


def _topshelf(folder: Path) -> Layout | None:
    sources = {}
    for role in ("items", "events", "users"):
        paths = [folder / f"{role}.csv", folder / f"{role}.parquet", folder / role]
        present = [path for path in paths if path.is_file() or (path.is_dir() and any(path.glob("*.parquet")))]
        if len(present) > 1:
            names = " and ".join(path.name for path in present)
            raise DataError(f"{folder} holds both {names}: keep one of them")
        if present and present[0].suffix == ".csv":
            sources[role] = _csv(role, present[0])
        elif present:
            sources[role] = Source(role, present[0], "parquet")
    return Layout("topshelf", sources) if "items" in sources or "events" in sources else None


def _movielens(folder: Path) -> Layout | None:
    names = {"items": "movies.csv", "events": "ratings.csv", "tags": "tags.csv"}
    if not _pair(folder, names["items"], names["events"]):
        return None
    sources = {
        role: _csv(role, folder / name, _MOVIELENS_NAMES) for role, name in names.items() if (folder / name).is_file()
    }
    check_columns(sources["events"], sources["events"].columns, ("rating",))
    return Layout("movielens", sources)


def _movielens_dat(folder: Path) -> Layout | None:
    if not _pair(folder, "movies.dat", "ratings.dat"):
        return None
    columns = {
        "items": ("movies.dat", ("item_id", "title", "genres")),
        "events": ("ratings.dat", ("user_id", "item_id", "rating", "timestamp")),
        "users": ("users.dat", ("user_id", "gender", "age", "occupation", "zip")),
        "tags": ("tags.dat", ("user_id", "item_id", "tag", "timestamp")),
    }
    return Layout("movielens-dat", _split(folder, columns, "::"))


def _movielens_100k(folder: Path) -> Layout | None:
    if not _pair(folder, "u.item", "u.data"):
        return None
    flags = tuple(GENRE_FLAG + genre for genre in _genres_100k(folder / "u.genre"))
    pipes = {
        "items": ("u.item", ("item_id", "title", "release_date", "video_date", "url", *flags)),
        "users": ("u.user", ("user_id", "age", "gender", "occupation", "zip")),
    }
    tabs = {"events": ("u.data", ("user_id", "item_id", "rating", "timestamp"))}
    return Layout("movielens-100k", {**_split(folder, pipes, "|"), **_split(folder, tabs, "\t")})


def _genres_100k(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return GENRES_100K
    numbered = [line.rpartition("|") for line in path.read_text("latin-1").splitlines() if "|" in line]
    try:
        by_number = {int(number): name for name, _, number in numbered}
    except ValueError as error:
        raise DataError(f"{path.name}: each line must read name|number ({error})") from None
    return tuple(name for _, name in sorted(by_number.items()))


def _pair(folder: Path, items: str, events: str) -> bool:
    """Whether both files are there.

    Raises:
        DataError: one is there without the other.
    """
    have = [(folder / name).is_file() for name in (items, events)]
    if any(have) and not all(have):
        here, missing = (items, events) if have[0] else (events, items)
        raise DataError(f"{folder} has {here} but no {missing}: the MovieLens layout needs both")
    return all(have)


def _split(folder: Path, files: Mapping[str, tuple[str, tuple[str, ...]]], separator: str) -> dict[str, Source]:
    return {
        role: Source(role, folder / name, "split", columns, separator, latin1=True)
        for role, (name, columns) in files.items()
        if (folder / name).is_file()
    }


def _csv(role: str, path: Path, names: Mapping[str, str] | None = None) -> Source:
    with path.open("rb") as file:
        line = file.readline(1 << 20)
    try:
        cells = next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")]), [])
    except UnicodeDecodeError:
        raise DataError(f"{path.name}: its header is not valid UTF-8") from None
    columns = [cell.strip().lower() for cell in cells]
    columns = [(names or {}).get(column, column) for column in columns]
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise DataError(f"{path.name}: its header names {', '.join(map(repr, twice))} twice")
    source = Source(role, path, "csv", tuple(columns), header=True)
    check_columns(source, source.columns)
    return source


def check_columns(source: Source, columns: tuple[str, ...], required: tuple[str, ...] = ()) -> None:
    """Raise DataError unless `columns` has all that rows of this role cannot do without."""
    missing = [name for name in (*_REQUIRED[source.role], *required) if name not in columns]
    if missing:
        have = ", ".join(columns) or "nothing"
        raise DataError(f"{source.name}: no column {' or '.join(missing)} (it has {have}); see docs/data.md")
