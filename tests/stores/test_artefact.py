from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from conf.errors import DataError
from conf.vocabulary import EVERYWHERE
from stores.artefact import (
    encode_fragment,
    extend_names,
    licence_bits,
    load_artefact,
    region_bits,
    same_but_for_forgotten,
    write_artefact,
)
from stores.artefact_parts import ArtefactContent
from stores.search import SearchDocument, open_index

MATRIX = encode_fragment("m0", "The Matrix", thumbnail=None, genres=["Sci-Fi"], year=1999, rating="R")


def content(**changes):
    """Three items: the second without a director, the third not active."""
    fields = {
        "item_ids": ["m0", "m1", "ü2"],
        "titles": ["The Matrix", "", "Das Böse"],
        "directors": ["Wachowski", None, "X"],
        "fragments": [MATRIX, b"", b'"item_id":"\xc3\xbc2"'],
        "active": np.array([True, True, False]),
        "maturity": np.array([3, 0, 4], dtype=np.uint8),
        "licensed": np.array([EVERYWHERE, 1, 0], dtype=np.uint64),
        "regions": ["US", "DE"],
        "available_from": np.full(3, -np.inf),
        "available_until": np.full(3, np.inf),
        "genres": np.array([1, 3, 0], dtype=np.uint64),
        "primary_genre": np.array([0, 1, 255], dtype=np.uint8),
        "genre_names": ["Sci-Fi", "Drama"],
        "vectors": np.eye(3, 4, dtype=np.float32),
        "context_items": np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32),
        "context_page": np.array([[0, 0], [2, 0]], dtype=np.float32),
        "context_pages": ["", "home"],
        "context_daypart": np.array(
            [[[0, 0], [0, 10], [0, 0], [0, 0]], [[0, 0], [0, 20], [0, 0], [0, 0]]], dtype=np.float32
        ),
        "context_regions": ["", "US"],
        "context_weekday": np.array([[0, 0]] * 6 + [[100, 0]], dtype=np.float32),
        "similar": np.array([[1, 2], [0, -1], [-1, -1]], dtype=np.int32),
        "similar_score": np.array([[0.9, 0.5], [0.9, 0], [0, 0]], dtype=np.float32),
        "popular": {"global": np.array([1, 0], dtype=np.int32), "new": np.array([], dtype=np.int32)},
        "segments": ["25-34/US"],
        "model_version": "v1",
        "made_for": "2026-11-23T05:00Z",
        **changes,
    }
    return ArtefactContent(**fields)


def test_what_is_written_is_loaded(tmp_path):
    given = content()
    loaded = load_artefact(tmp_path, write_artefact(tmp_path, given))
    for name in vars(given).keys() - {"documents"}:
        mine, theirs = getattr(given, name), getattr(loaded, name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(theirs, mine)
        elif name == "forgotten_upto":
            assert theirs == mine
        elif name == "popular":
            assert {scope: numbers.tolist() for scope, numbers in theirs.items()} == {"global": [1, 0], "new": []}
        else:
            assert list(theirs) == list(mine), name
    assert len(loaded) == 3
    assert loaded.item_no["ü2"] == 2


def test_it_bars_whom_it_was_made_with_and_differs_in_nothing_else(tmp_path):
    hashes = [3, 2**64 - 1, 2**63]
    plain, barring = content(), content(forgotten=hashes, forgotten_upto=9)
    one, other = write_artefact(tmp_path, plain), write_artefact(tmp_path, barring)
    loaded = load_artefact(tmp_path, other)
    assert [loaded.bars(hashed) for hashed in (*hashes, 0, 4, 2**63 + 1)] == [True] * 3 + [False] * 3
    assert loaded.forgotten_upto == 9
    assert not load_artefact(tmp_path, one).bars(3)
    assert one != other
    assert same_but_for_forgotten(tmp_path, one, other)
    changed = write_artefact(tmp_path, content(titles=["The Matrix", "", "Das Gute"], forgotten=[3], forgotten_upto=9))
    assert not same_but_for_forgotten(tmp_path, one, changed)
    assert not same_but_for_forgotten(tmp_path, one, "gone")


def test_equal_content_has_an_equal_id_and_is_written_once(tmp_path):
    one, same = write_artefact(tmp_path, content()), write_artefact(tmp_path, content())
    other = write_artefact(tmp_path, content(titles=["The Matrix", "", "Das Gute"]))
    assert one == same != other
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([one, other])


def test_the_search_index_is_a_part_of_it(tmp_path):
    documents = [SearchDocument(title) for title in ("The Matrix", "", "Das Böse")]
    one, same = (write_artefact(tmp_path, content(documents=documents)) for _ in range(2))
    other = write_artefact(tmp_path, content(documents=[*documents[:2], SearchDocument("Das Gute")]))
    without = write_artefact(tmp_path, content())
    assert one == same
    assert len({one, other, without}) == 3
    assert load_artefact(tmp_path, without).search_folder is None
    folder = load_artefact(tmp_path, one).search_folder
    assert open_index(folder).searcher.doc_freq("title", "bose") == 1

    (index,) = folder.glob("*.idx")
    index.write_bytes(index.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"\.idx has changed"):
        load_artefact(tmp_path, one)
    assert write_artefact(tmp_path, content(documents=documents)) == one
    assert load_artefact(tmp_path, one).search_folder == folder
    with pytest.raises(DataError, match="documents has 1 entries for 3 items"):
        write_artefact(tmp_path, content(documents=documents[:1]))


def test_artefacts_of_the_format_before_are_read_and_have_no_search_index(tmp_path, monkeypatch):
    monkeypatch.setattr("stores.artefact.FORMAT", 1)
    old = write_artefact(tmp_path, content())
    monkeypatch.setattr("stores.artefact.FORMAT", 4)
    newer = write_artefact(tmp_path, content())
    monkeypatch.undo()
    assert load_artefact(tmp_path, old).search_folder is None
    with pytest.raises(DataError, match="has format 4, this version reads 1 to 3"):
        load_artefact(tmp_path, newer)


def test_an_artefact_of_before_has_the_same_dayparts_for_all_regions(tmp_path):
    dayparts = content().context_daypart[:1]
    name = write_artefact(tmp_path, content(context_daypart=dayparts, context_regions=[""]))
    np.save(tmp_path / name / "context_daypart.npy", dayparts[0])
    loaded = load_artefact(tmp_path, name, verify=False)
    assert loaded.context_term(np.array([0, 1]), "home", daypart=1, weekday=0, region="US").tolist() == [2, 10]


def test_a_damaged_artefact_is_not_loaded_and_is_mended_by_writing_it_again(tmp_path):
    name = write_artefact(tmp_path, content())
    damaged = tmp_path / name / "maturity.npy"
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 4
    damaged.write_bytes(data)
    with pytest.raises(DataError, match=r"maturity\.npy has changed"):
        load_artefact(tmp_path, name)
    assert write_artefact(tmp_path, content()) == name
    assert load_artefact(tmp_path, name).maturity.tolist() == [3, 0, 4]


def test_missing_files_other_manifests_and_pickles_are_refused(tmp_path):
    name = write_artefact(tmp_path, content())
    with pytest.raises(DataError, match="cannot be read"):
        load_artefact(tmp_path, "0" * 32)
    shutil.copytree(tmp_path / name, tmp_path / ("1" * 32))
    with pytest.raises(DataError, match="digest differs"):
        load_artefact(tmp_path, "1" * 32)
    np.save(tmp_path / name / "active.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError):
        load_artefact(tmp_path, name, verify=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"maturity": np.zeros(3, dtype=np.int64)},
        {"maturity": np.zeros(2, dtype=np.uint8)},
        {"titles": ["one"]},
        {"primary_genre": np.array([0, 1, 2], dtype=np.uint8)},
        {"similar": np.array([[3, 0], [0, 0], [0, 0]], dtype=np.int32)},
        {"similar_score": np.zeros((3, 1), dtype=np.float32)},
        {"popular": {"global": np.array([-1], dtype=np.int32)}},
        {"popular": {}},
        {"regions": [f"R{number}" for number in range(64)]},
        {"context_daypart": np.zeros((2, 3, 2), dtype=np.float32)},
        {"context_page": np.zeros((0, 2), dtype=np.float32), "context_pages": []},
    ],
)
def test_content_the_service_could_trip_over_is_refused(tmp_path, changes):
    with pytest.raises(DataError, match="artefact:"):
        write_artefact(tmp_path, content(**changes))
    assert not list(tmp_path.iterdir())


def test_the_context_term_adds_page_the_regions_daypart_and_weekday(tmp_path):
    loaded, items = load_artefact(tmp_path, write_artefact(tmp_path, content())), np.array([2, 0, 1])
    assert loaded.context_term(items, "home", daypart=1, weekday=0, region=None).tolist() == [12, 2, 10]
    assert loaded.context_term(items, "home", daypart=1, weekday=0, region="DE").tolist() == [12, 2, 10]
    assert loaded.context_term(items, "home", daypart=1, weekday=0, region="US").tolist() == [22, 2, 20]
    assert loaded.context_term(items, "elsewhere", daypart=0, weekday=6, region="US").tolist() == [100, 100, 0]


def test_licence_bits_meet_where_a_viewer_may_see_the_item():
    regions = ["US", "DE"]
    viewers = {region: region_bits(regions, region) for region in ("US", "DE", "FR", None)}

    def seen_by(*licensed_in):
        bits = licence_bits(regions, licensed_in)
        return [region for region, mask in viewers.items() if bits & mask]

    assert seen_by("*") == ["US", "DE", "FR", None]
    assert seen_by("DE") == ["DE"]
    assert seen_by() == []


def test_a_fragment_is_the_inside_of_a_json_object():
    assert json.loads(b"{" + MATRIX + b"}") == {
        "item_id": "m0",
        "title": "The Matrix",
        "thumbnail": None,
        "metadata": {"genre": ["Sci-Fi"], "year": 1999, "rating": "R"},
    }


def test_names_keep_their_numbers_from_artefact_to_artefact():
    assert extend_names([], ["Drama", "Comedy"]) == ("Drama", "Comedy")
    assert extend_names(["Drama", "Comedy"], ["Sci-Fi", "Comedy"]) == ("Drama", "Comedy", "Sci-Fi")
