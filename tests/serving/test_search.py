"""Which of a few films a text finds, and in which order."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.metrics import Metrics
from serving.search import MAX_HITS, Searcher
from stores.search import SearchDocument, build_index, words

FILMS = (
    SearchDocument("The Matrix", ["Keanu Reeves", "Carrie-Anne Moss"], "Lana Wachowski", ["Action", "Sci-Fi"],
                   "A hacker learns that the world is a simulation.", 1999),
    SearchDocument("The Matrix Reloaded", ["Keanu Reeves"], "Lana Wachowski", ["Action", "Sci-Fi"], None, 2003),
    SearchDocument("Amélie", ["Audrey Tautou"], "Jean-Pierre Jeunet", ["Romance"], "A waitress in Paris.", 2001),
    SearchDocument("2001: A Space Odyssey", ["Keir Dullea"], "Stanley Kubrick", ["Sci-Fi"], None, 1968),
    SearchDocument("The Who", [], None, ["Documentary"], "A band.", 1979),
    SearchDocument("Spider-Man", ["Kirsten Dunst"], "Sam Raimi", ["Action"], None, 2002),
    SearchDocument("Star Wars", ["Carrie Fisher"], "George Lucas", ["Sci-Fi"], "A farm boy leaves home.", 1977),
    SearchDocument("Paris, Texas", [], "Wim Wenders", ["Drama"], "A man walks out of the desert.", 1984),
    SearchDocument("Alien", [], "Ridley Scott", ["Horror"], None, 1979),
    SearchDocument("Aliens", [], "James Cameron", ["Horror"], "More of the alien.", 1986),
    SearchDocument("千と千尋の神隠し", [], "宮崎 駿", ["Animation"], None, 2001),
    SearchDocument("Иди и смотри", [], "Элем Климов", ["War"], None, 1985),
    SearchDocument("It", [], None, ["Horror"], None, 2017),
    SearchDocument("It Follows", [], None, ["Horror"], None, 2014),
)  # fmt: skip
ROLES = (
    SearchDocument("A", [], None, [], "Hudson."),
    SearchDocument("B", [], None, ["Hudson"]),
    SearchDocument("C", [], "Hudson"),
    SearchDocument("D", ["Hudson"]),
    SearchDocument("Hudsons"),
    SearchDocument("Hudson Hawk"),
    SearchDocument("Hutson"),
    SearchDocument("Hudson"),
)
"""The better a film matches `hudson`, the later it stands. The misspelt one is not half as good as the best."""


def snapshot_of(folder, documents=None):
    if documents is not None:
        build_index(folder, documents)
    return SimpleNamespace(artefact=SimpleNamespace(artefact_id=str(folder), search_folder=folder))


@pytest.fixture(scope="module")
def searcher():
    return Searcher(Metrics())


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return snapshot_of(tmp_path_factory.mktemp("films"), FILMS)


@pytest.fixture(scope="module")
def find(searcher, films):
    return lambda text: [FILMS[number].title for number in searcher.search(films, text, 200).item_no]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("matrix", "The Matrix"),
        ("MATRIX", "The Matrix"),
        ("matrx", "The Matrix"),
        ("amtrix", "The Matrix"),
        ("matr", "The Matrix"),
        ("the matrix r", "The Matrix Reloaded"),
        ("reloadde", "The Matrix Reloaded"),
        ("keanu reloaded", "The Matrix Reloaded"),
        ("matrix 2003", "The Matrix Reloaded"),
        ("keanu hacker", "The Matrix"),
        ("keenu hackr", "The Matrix"),
        ("amelie", "Amélie"),
        ("AMÉLIE", "Amélie"),
        ("tautuo", "Amélie"),
        ("2001", "2001: A Space Odyssey"),
        ("2001 a space odissey", "2001: A Space Odyssey"),
        ("the who", "The Who"),
        ("who", "The Who"),
        ("it", "It"),
        ("spiderman", "Spider-Man"),
        ("spider man", "Spider-Man"),
        ("starwars", "Star Wars"),
        ("paris", "Paris, Texas"),
        ("alien", "Alien"),
        ("teh who", "The Who"),
        ("千と千尋の神隠し", "千と千尋の神隠し"),
        ("千と", "千と千尋の神隠し"),
        ("宮崎", "千と千尋の神隠し"),
        ("иди и смотри", "Иди и смотри"),
        ("СМАТРИ", "Иди и смотри"),
        ('title:"matrix" AND -(reloaded', "The Matrix Reloaded"),
    ],
)
def test_what_a_text_finds_first(find, text, first):
    assert find(text)[0] == first


@pytest.mark.parametrize("text", ["", "   ", "???", "qqqqqq", "\x00", "\ud800", "*"])
def test_what_finds_nothing(find, text):
    assert find(text) == []


def test_short_words_are_not_forgiven_a_letter(find):
    assert "It" not in find("at")


def test_a_year_alone_finds_its_films_below_a_title_with_it(find):
    assert set(find("1979")) == {"The Who", "Alien"}
    assert find("2001") == ["2001: A Space Odyssey", "Amélie", "千と千尋の神隠し"]


def test_title_stands_above_cast_director_genres_and_description(tmp_path, searcher):
    snapshot = snapshot_of(tmp_path, ROLES)
    hits = searcher.search(snapshot, "hudson", 200)
    order = [ROLES[number].title for number in hits.item_no]
    assert order == ["Hudson", "Hudson Hawk", "Hudsons", "D", "C", "B", "A"]
    misspelt = searcher.search(snapshot, "hudsn", 200)
    assert [ROLES[number].title for number in misspelt.item_no] == ["Hudson", "Hudson Hawk", "D", "C", "Hudsons", "B"]
    assert hits.score.tolist() == sorted(hits.score.tolist(), reverse=True)
    assert hits.score[0] == pytest.approx(1)


def test_no_more_hits_than_asked_for(searcher, films):
    assert searcher.search(films, "the", 2).item_no.tolist() == searcher.search(films, "the", 200).item_no[:2].tolist()
    assert len(searcher.search(films, "the", 10 * MAX_HITS).item_no) > 2


def test_an_artefact_without_an_index_has_no_hits_and_says_so(searcher, films):
    assert searcher.search(films, "qqqqqq", 10).available
    without = searcher.search(SimpleNamespace(artefact=SimpleNamespace(artefact_id="old", search_folder=None)), "x", 10)
    assert (without.available, without.item_no.tolist()) == (False, [])


def test_a_damaged_index_has_no_hits_says_so_and_is_counted(tmp_path):
    metrics = Metrics()
    damaged = Searcher(metrics)
    for _ in range(2):
        assert not damaged.search(snapshot_of(tmp_path), "matrix", 10).available
    assert b"topshelf_search_failures_total 1.0" in metrics.exposition()


def test_threads_find_the_same(searcher, films):
    found = []

    def search():
        found.extend(tuple(searcher.search(films, "matrx", 10).item_no.tolist()) for _ in range(50))

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {(0, 1)}
    assert len(found) == 200


def test_an_index_that_another_thread_lets_go_of_is_still_searched(films):
    searcher = Searcher(Metrics())
    searcher.search(films, "matrix", 10)

    class Leaving(dict):
        """Let go of between the look whether it has an index and the taking of it."""

        def __contains__(self, name):
            found = super().__contains__(name)
            searcher._opened = {}
            return found

    searcher._opened = Leaving(searcher._opened)
    assert searcher.search(films, "matrix", 10).available


ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=400)


@settings(deadline=None)
@given(ANY_TEXT)
def test_any_text_is_searched_for_and_never_raises(searcher, films, text):
    hits = searcher.search(films, text, 200)
    assert hits.available
    assert len(hits.item_no) == len(hits.score) <= len(FILMS)
    assert len(set(hits.item_no.tolist())) == len(hits.item_no)
    assert ((hits.score > 0) & (hits.score <= 1.0001)).all()


def test_a_very_long_text_takes_no_longer_than_its_first_part(searcher, films):
    started = time.perf_counter()
    searcher.search(films, "abcdefghij klmnopqrst " * 100_000, 200)
    assert time.perf_counter() - started < 0.5


@settings(max_examples=5, deadline=None)
@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "Z", "M"]), max_size=20), min_size=10, max_size=40))
def test_whatever_the_script_a_title_finds_itself(tmp_path_factory, titles):
    snapshot = snapshot_of(tmp_path_factory.mktemp("any"), [SearchDocument(title) for title in titles])
    searcher = Searcher(Metrics())
    for number, title in enumerate(titles):
        hits = searcher.search(snapshot, title, 200)
        assert number in hits.item_no.tolist() or not words(title)


def test_the_index_comes_with_the_generation(client):
    snapshot = client.follower.snapshot
    hits = Searcher(Metrics()).search(snapshot, "flim 3", 5)
    assert snapshot.artefact.titles[hits.item_no[0]] == "Film 3"
