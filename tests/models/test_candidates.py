import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from conf.loading import load
from conf.vocabulary import NO_ANCHOR, Source
from models import candidates
from models.types import CandidateLists

RETRIEVAL = load({}, ["retrieval.per_watch=3", "retrieval.per_genre=3"]).settings.retrieval
NOBODY = np.zeros((1, 2), np.float32)


def row(*items):
    return np.array([items], np.int32)


def lists(similar=None, by_genre=None, trending=(), new=(), popular=()):
    return CandidateLists(
        np.full((10, 3), -1, np.int32) if similar is None else np.array(similar, np.int32),
        np.full((2, 3), -1, np.int32) if by_genre is None else np.array(by_genre, np.int32),
        *(np.array(items, np.int32) for items in (trending, new, popular)),
    )


def nothing(history):
    empty = np.zeros((len(history), 0), np.int32)
    return empty, empty


def gather(history, nearest, given_lists, weights=NOBODY):
    keys = candidates.gather(history, nearest, nothing(history), weights, given_lists, RETRIEVAL)
    found = candidates.unpack(keys)
    size = int((found.item_no[0] >= 0).sum())
    return list(
        zip(
            found.item_no[0, :size].tolist(),
            [Source(number) for number in found.source[0, :size]],
            found.anchor[0, :size].tolist(),
            strict=True,
        )
    )


def test_every_source_names_itself_and_its_anchor():
    similar = np.full((10, 3), -1)
    similar[8, 0], similar[9, 0] = 1, 2
    found = gather(
        row(8, 9), row(0), lists(similar, [[3, -1, -1], [4, -1, -1]], [5], [6]), np.array([[0.2, 0.5]], np.float32)
    )
    assert sorted(found) == [
        (0, Source.ANN, NO_ANCHOR),
        (1, Source.SIMILAR, 1),  # 8 is the watch before the newest
        (2, Source.SIMILAR, 0),
        (4, Source.GENRE, 1),  # the other genre lies below the weight
        (5, Source.TRENDING, NO_ANCHOR),
        (6, Source.NEW, NO_ANCHOR),
    ]


def test_an_item_keeps_the_source_in_which_it_stands_highest():
    similar = np.full((10, 3), -1)
    similar[9] = [1, 2, 3]
    found = gather(row(9), row(3, 1, 2), lists(similar))
    assert found == [(1, Source.SIMILAR, 0), (3, Source.ANN, NO_ANCHOR), (2, Source.SIMILAR, 0)]


def test_anchors_are_the_last_watches_newest_first():
    assert candidates.anchors(row(-1, 4, 5, 6), 2).tolist() == [[6, 5]]
    assert candidates.anchors(row(-1, 4), 3).tolist() == [[4, -1, -1]]


@given(st.data())
def test_no_candidate_comes_twice_and_none_is_lost(data):
    items = st.integers(-1, 9)

    def draw(*shape):
        size = int(np.prod(shape))
        return np.array(data.draw(st.lists(items, min_size=size, max_size=size)), np.int32).reshape(shape)

    history, nearest = draw(3, 4), draw(3, 5)
    given_lists = CandidateLists(draw(10, 3), draw(2, 3), draw(2), draw(2), draw(2))
    weights = np.array([[0, 1], [1, 1], [0, 0]], np.float32)
    found = candidates.items_of(candidates.gather(history, nearest, nothing(history), weights, given_lists, RETRIEVAL))
    for user in range(3):
        expected = {*nearest[user], *given_lists.trending, *given_lists.new}
        expected |= {item for watch in history[user] if watch >= 0 for item in given_lists.similar[watch]}
        expected |= {item for genre in range(2) if weights[user, genre] > 0.3 for item in given_lists.by_genre[genre]}
        got = [item for item in found[user] if item >= 0]
        assert len(got) == len(set(got))
        assert set(got) == expected - {-1}


def test_filling_adds_the_most_popular_that_are_eligible_and_not_there_yet():
    keys = candidates.gather(row(-1), row(3, 7), nothing(row(-1)), NOBODY, lists(), RETRIEVAL)
    keys = candidates.keep(keys, keys != candidates.NOTHING, 8)
    popular = np.array([7, 5, 4, 2], np.int32)
    filled = candidates.fill(keys, popular, np.array([[True, False, True, True]]), 3)
    assert candidates.items_of(filled)[0].tolist() == [3, 7, 4, -1, -1, -1, -1, -1]
    assert candidates.unpack(filled).source[0, 2] == Source.POPULAR
