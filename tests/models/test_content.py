import numpy as np
import pyarrow as pa

from models import content
from tests.models.blocks import items_table


def test_tokens_name_what_they_come_from():
    row = {
        "title": "The Matrix", "description": "A hacker. A HACKER learns.", "genres": ["Sci-Fi"], "cast": ["Ann"],
        "director": "Bob", "year": 1999, "rating": "R",
    }  # fmt: skip
    assert content.item_tokens(row) == [
        "genre:Sci-Fi", "cast:Ann", "director:Bob", "year:1999", "decade:1990", "rating:R",
        "title:the", "title:matrix", "word:hacker", "word:learns",
    ]  # fmt: skip


def test_an_item_of_which_nothing_is_known_has_no_tokens():
    assert content.item_tokens(dict.fromkeys(content.COLUMNS)) == []


def test_a_token_of_one_item_is_left_out_and_unknown_tokens_are_ignored():
    items = items_table(3)
    vocabulary = content.build_vocabulary(items)
    assert "genre:Space" in vocabulary
    lonely = items.set_column(4, "genres", pa.array([["Space"], ["Space"], ["Odd"]]))
    assert "genre:Odd" not in content.build_vocabulary(lonely)
    bags = content.encode(lonely, vocabulary)
    names = [vocabulary[token] for token in bags.ids[bags.offsets[2] :]]
    assert "genre:Space" not in names
    assert "title:story" in names


def test_encoding_keeps_items_apart():
    items = items_table(30)
    vocabulary = content.build_vocabulary(items)
    bags = content.encode(items, vocabulary)
    for item_no in (0, 14, 15, 29):
        names = {vocabulary[token] for token in bags.ids[bags.offsets[item_no] : bags.offsets[item_no + 1]]}
        assert ("genre:Space" in names) == (item_no < 15)


def test_genres_are_ordered_by_how_many_items_have_them():
    items = items_table(40)
    genres = content.genre_vocabulary(items)
    assert genres == ["Space", "Love"]
    assert content.genre_matrix(items, genres)[[0, 15]].tolist() == [[1, 0], [0, 1]]


def test_years_count_in_decades_and_say_when_unknown():
    items = items_table(2).set_column(7, "year", pa.array([2010, None], pa.int32()))
    assert np.array_equal(content.years(items), np.array([[1, 0], [0, 1]], np.float32))
