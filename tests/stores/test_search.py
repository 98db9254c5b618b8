from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.errors import DataError
from stores.search import MAX_WORD, SearchDocument, build_index, open_index, words

MATRIX = SearchDocument("The Matrix", ["Keanu Reeves"], "Lana Wachowski", ["Sci-Fi"], "A hacker wakes up.", 1999)
BARE = SearchDocument("Amélie")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Amélie", ["amelie"]),
        ("ÆON Straße, Łódź & Ørsted", ["aeon", "strasse", "lodz", "and", "orsted"]),
        ("Ocean's Eleven", ["oceans", "eleven"]),
        ("Spider-Man: No_Way\tHome", ["spider", "man", "no", "way", "home"]),
        ("Ёлки Ёлки", ["елки", "елки"]),
        ("千と千尋の神隠し", ["千と千尋の神隠し"]),
        ("हिन्दी फ़िल्म", ["हिन्दी", "फ़िल्म"]),
        ("???", []),
    ],
)
def test_words_are_without_case_accents_and_signs(text, found):
    assert words(text) == found


@given(st.text())
def test_any_text_has_words_and_they_stay_what_they_are(text):
    found = words(text)
    assert all(0 < len(word) <= MAX_WORD and not word.isspace() for word in found)
    assert words(" ".join(found)) == found
    assert words(f"\ud800{text}\x00") == found


def built(path, *documents):
    path.mkdir()
    build_index(path, documents)
    return path


def test_equal_catalogues_have_equal_bytes_and_leave_no_locks(tmp_path):
    one, same = built(tmp_path / "one", MATRIX, BARE), built(tmp_path / "same", MATRIX, BARE)
    files = {file.name: file.read_bytes() for file in one.iterdir()}
    assert {file.name: file.read_bytes() for file in same.iterdir()} == files
    assert [name for name in files if name.startswith(".")] == []
    assert (built(tmp_path / "other", MATRIX) / "meta.json").read_bytes() != files["meta.json"]


def test_opening_leaves_the_folder_alone_and_item_numbers_are_the_order_of_the_documents(tmp_path, monkeypatch):
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(links))
    folder = built(tmp_path / "index", MATRIX, BARE)
    before = sorted(file.name for file in folder.iterdir())
    folder.chmod(0o500)
    index = open_index(folder)
    folder.chmod(0o700)
    assert sorted(file.name for file in folder.iterdir()) == before
    assert list(links.iterdir()) == []
    assert index.searcher.num_docs == 2
    assert [
        index.searcher.doc_freq(*term) for term in (("title", "amelie"), ("cast", "keanu"), ("genres", "scifi"))
    ] == [1] * 3


def test_a_folder_that_is_no_index_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        open_index(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        open_index(tmp_path / "absent")
