import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from conf.loading import load
from conf.vocabulary import EVERYWHERE, NO_ANCHOR, Source
from models import candidates
from models.candidates import Gatherer
from models.cowatch import CoWatched
from models.gathering import Candidates
from models.highest import Products
from models.item_item import ItemItem, ItemScores
from models.measuring import open_catalogue
from models.types import CandidateLists, Filters

ITEMS = 10
SMALL = {"per_watch": 3, "per_genre": 3, "ann": 5, "item_item": 5, "total": 30, "list_size": 1}
RETRIEVAL = load({}, []).settings.retrieval.model_copy(update=SMALL)
NOBODY = np.zeros((1, 2), np.float32)
SILENT = ItemItem(
    np.full((ITEMS, 2), -1, np.int32),
    np.zeros((ITEMS, 2), np.float32),
    1.0,
    CoWatched(np.zeros(0, np.float32), np.zeros((0, 2), np.int32), np.zeros((0, 2), np.float32)),
)


def row(*items):
    return np.array([items], np.int32)


def lists(similar=None, by_genre=None, trending=(), new=(), popular=()):
    return CandidateLists(
        np.full((10, 3), -1, np.int32) if similar is None else np.array(similar, np.int32),
        np.full((2, 3), -1, np.int32) if by_genre is None else np.array(by_genre, np.int32),
        *(np.array(items, np.int32) for items in (trending, new, popular)),
    )


def gatherer(given_lists, told=SILENT, **more):
    catalogue = open_catalogue(np.zeros((ITEMS, 2), np.float32))
    retrieval = RETRIEVAL.model_copy(update=more)
    return Gatherer(catalogue, catalogue.active, given_lists, ItemScores(told, ITEMS), retrieval)


def products(*orders):
    """As if each user's vector found these items, best first, and no others."""
    columns = sorted({item for order in orders for item in order if item >= 0})
    values = np.full((len(orders), len(columns)), np.nan, np.float32)
    for user, order in enumerate(orders):
        for place, item in enumerate(order):
            if item >= 0:
                values[user, columns.index(item)] = -place
    return Products(values, np.array(columns, np.int32))


def filters_of(count=1, weights=None, watched=()):
    return Filters(
        (np.array([0, *[len(watched)] * count], np.int64), np.array(watched, np.int32)),
        np.zeros(count, np.uint8),
        np.full(count, EVERYWHERE, np.uint64),
        np.zeros((count, 2), np.float32) if weights is None else weights,
    )


def gather(history, nearest, given_lists, weights=NOBODY, **more):
    found = gatherer(given_lists, **more).gather(history, filters_of(1, weights), products(nearest))
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
        row(8, 9), [0], lists(similar, [[3, -1, -1], [4, -1, -1]], [5], [6]), np.array([[0.2, 0.5]], np.float32)
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
    found = gather(row(9), [3, 1, 2], lists(similar))
    assert found == [(1, Source.SIMILAR, 0), (3, Source.ANN, NO_ANCHOR), (2, Source.SIMILAR, 0)]


def test_anchors_are_the_last_watches_newest_first():
    assert candidates.anchors(row(-1, 4, 5, 6), 2).tolist() == [[6, 5]]
    assert candidates.anchors(row(-1, 4), 3).tolist() == [[4, -1, -1]]


@given(st.data())
def test_no_candidate_comes_twice_and_none_is_lost(data):
    items = st.integers(-1, ITEMS - 1)

    def draw(*shape):
        size = int(np.prod(shape))
        return np.array(data.draw(st.lists(items, min_size=size, max_size=size)), np.int32).reshape(shape)

    history = draw(3, 4)
    nearest = [data.draw(st.lists(items, unique=True, max_size=5)) for _ in range(3)]
    watched = data.draw(st.lists(st.integers(0, ITEMS - 1), max_size=3))
    given_lists = CandidateLists(draw(ITEMS, 3), draw(2, 3), draw(2), draw(2), draw(2))
    weights = np.array([[0, 1], [1, 1], [0, 0]], np.float32)
    filters = filters_of(3, weights, watched)  # the first user watched them
    found = gatherer(given_lists).gather(history, filters, products(*nearest))
    for user in range(3):
        expected = {*nearest[user], *given_lists.trending, *given_lists.new}
        expected |= {item for watch in history[user] if watch >= 0 for item in given_lists.similar[watch]}
        expected |= {item for genre in range(2) if weights[user, genre] > 0.3 for item in given_lists.by_genre[genre]}
        expected -= {-1, *(watched if user == 0 else ())}
        got = [item for item in found.item_no[user].tolist() if item >= 0]
        assert len(got) == len(set(got))
        if expected:
            assert set(got) == expected


def test_too_few_are_filled_up_with_the_most_popular_that_are_not_there_yet():
    popular = lists(popular=[7, 5, 4, 2])
    found = gatherer(popular, list_size=3).gather(row(-1), filters_of(watched=[5]), products([3, 7]))
    assert found.item_no[0, :4].tolist() == [3, 7, 4, -1]
    assert found.source[0, 2] == Source.POPULAR


def told(decay):
    """Watching 0 speaks for 2 and a little for 3; watching 1 for 3 alone."""
    items, weights = np.full((ITEMS, 2), -1, np.int32), np.zeros((ITEMS, 2), np.float32)
    items[0], items[1, 0], weights[0], weights[1, 0] = [2, 3], 3, [0.5, 0.1], 0.4
    return ItemItem(items, weights, decay, SILENT.near)


def co_watched(history, decay, watches=5) -> Candidates:
    return gatherer(lists(), told(decay), watches=watches).gather(history, filters_of(), products([]))


def test_the_anchor_is_the_watch_that_adds_most_and_none_where_that_lies_too_far_back():
    def anchor(history, decay, watches=5):
        found = co_watched(history, decay, watches)
        return dict(zip(found.item_no[0].tolist(), found.anchor[0].tolist(), strict=True))

    assert anchor(row(0, 1), 1.0) == {2: 1, 3: 0, -1: NO_ANCHOR}
    assert anchor(row(0, 1), 1.0, watches=1) == {2: NO_ANCHOR, 3: 0, -1: NO_ANCHOR}
    assert anchor(row(1, 0), 0.1) == {2: 0, 3: 0, -1: NO_ANCHOR}


def test_scores_of_candidates_are_those_of_the_item_item_model():
    found = co_watched(row(-1, 0, 1), 0.5)
    scores = ItemScores(told(0.5), ITEMS).scores(row(-1, 0, 1)).numpy()[0]
    there = found.item_no[0, :2]
    assert there.tolist() == found.co_watched[0, :2].tolist() == [3, 2], "best first"
    np.testing.assert_allclose(found.score[0, :2], scores[there], atol=1e-6)
    np.testing.assert_allclose(found.recent[0, :2], [(0.4 + 0.5 * 0.1) / 1.5, 0.5 * 0.5 / 1.5], atol=1e-6)


@given(st.lists(st.integers(-1000, 1000), min_size=300, max_size=300), st.data())
def test_the_highest_products_are_found_whatever_may_not_be_seen(values, data):
    count = len(values)
    hidden = data.draw(st.sets(st.integers(0, count - 1), max_size=count))
    catalogue = open_catalogue(np.zeros((count, 2), np.float32))
    none = CandidateLists(*(np.zeros((0, 0), np.int32),) * 2, *(np.zeros(0, np.int32),) * 3)
    live = np.array([item not in hidden for item in range(count)])
    silent = ItemItem(SILENT.items, SILENT.weights, 1.0, SILENT.near)
    retrieval = RETRIEVAL.model_copy(update={"ann": 7})
    found = Gatherer(catalogue, live, none, ItemScores(silent, count), retrieval).gather(
        row(-1), filters_of(), Products(np.array([values], np.float32), np.arange(count, dtype=np.int32))
    )
    best = sorted((item for item in range(count) if item not in hidden), key=lambda item: (-values[item], item))[:7]
    assert [item for item in found.nearest[0].tolist() if item >= 0] == best
