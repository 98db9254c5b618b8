from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conf.errors import DataError
from jobs.imports.layouts import detect


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / name.replace("__", ".")).write_text(text)
    return tmp_path


def test_own_layout_with_a_folder_of_parts(tmp_path: Path) -> None:
    folder(tmp_path, items__csv="item_id\n")
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "part-0.parquet").write_text("")
    layout = detect(tmp_path)
    assert layout.kind == "topshelf"
    assert {role: source.name for role, source in layout.sources.items()} == {"items": "items.csv", "events": "events/"}


def test_movielens_columns_get_our_names(tmp_path: Path) -> None:
    layout = detect(
        folder(tmp_path, movies__csv="movieId,title,genres\n", ratings__csv="userId,movieId,rating,timestamp\n")
    )
    assert layout.kind == "movielens"
    assert layout.sources["events"].columns == ("user_id", "item_id", "rating", "timestamp")


def test_a_byte_order_mark_and_blanks_in_a_header_are_no_part_of_a_name(tmp_path: Path) -> None:
    layout = detect(folder(tmp_path, items__csv="\ufeffitem_id, Title\n"))
    assert layout.sources["items"].columns == ("item_id", "title")


def test_u_genre_names_the_flags_of_u_item(tmp_path: Path) -> None:
    layout = detect(folder(tmp_path, u__item="", u__data="", u__genre="Drama|1\nunknown|0\n\n"))
    assert layout.kind == "movielens-100k"
    assert layout.sources["items"].columns[-2:] == ("genre:unknown", "genre:Drama")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda f: f, "no layout we know. Looked for items.csv.*movies.csv.*movies.dat.*u.item.*Found nothing"),
        (lambda f: folder(f, movie__csv=""), "Found movie.csv"),
        (lambda f: folder(f, movies__csv="movieId\n"), "has movies.csv but no ratings.csv"),
        (lambda f: folder(f, ratings__dat=""), "has ratings.dat but no movies.dat"),
        (lambda f: folder(f, items__csv="item_id\n", items__parquet=""), "both items.csv and items.parquet"),
        (lambda f: folder(f, items__csv="item_id\n", u__item="", u__data=""), "topshelf and movielens-100k"),
        (lambda f: folder(f, items__csv="id,title\n"), "items.csv: no column item_id .it has id, title."),
        (lambda f: folder(f, items__csv=""), "items.csv: no column item_id .it has nothing."),
        (lambda f: folder(f, items__csv="item_id,year,year\n"), "names 'year' twice"),
        (lambda f: f / "nowhere", "is not a folder"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, make: Callable[[Path], Path], says: str) -> None:
    with pytest.raises(DataError, match=f"(?s){says}"):
        detect(make(tmp_path))
