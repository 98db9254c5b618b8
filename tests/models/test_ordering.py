import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from conf.vocabulary import NO_GENRE
from models.blend import RANK_OFFSET
from models.ordering import cut, order_keys, rank_terms


def test_equal_scores_share_a_rank_and_missing_ones_come_last():
    scores = np.array([[0.5, -1.0, 0.5, 9.0, -0.0, 0.0]], np.float32)
    found = rank_terms(scores, np.array([[False, False, False, True, False, False]]))
    np.testing.assert_allclose(np.exp(-found[0]) - RANK_OFFSET, [0, 4, 0, 5, 2, 2], atol=1e-4)


def test_the_higher_logit_comes_first_then_the_lower_item_and_missing_ones_last():
    keys = order_keys(np.array([[1, -5, 1, 99, 7]], np.int32), np.array([[8, 2, 3, -1, 9]], np.int32))
    assert np.argsort(keys[0]).tolist() == [4, 2, 0, 1, 3]


def test_a_genre_fills_no_more_than_its_share_while_others_last():
    keys = order_keys(np.array([[9, 8, 7, 6, 5]], np.int32), np.arange(5, dtype=np.int32)[None])
    genre = np.array([[1, 1, 1, 2, NO_GENRE]], np.uint8)
    assert cut(keys, genre, 3, most=2).tolist() == [[0, 1, 3]]
    assert cut(keys, genre, 4, most=1).tolist() == [[0, 1, 3, 4]], "two of the genre, for there is nothing else"
    assert cut(keys, np.full((1, 5), NO_GENRE, np.uint8), 2, most=1).tolist() == [[0, 1]], "no genre is not one"


@given(st.data())
def test_places_are_those_of_a_plain_sort(data):
    size = data.draw(st.integers(1, 8))
    logits = np.array([data.draw(st.lists(st.integers(-3, 3), min_size=8, max_size=8))], np.int32)
    items = np.array([data.draw(st.permutations(range(8)))], np.int32)
    items[0, np.array(data.draw(st.lists(st.booleans(), min_size=8, max_size=8)))] = -1
    found = cut(order_keys(logits, items), np.full((1, 8), NO_GENRE, np.uint8), size, most=1)[0].tolist()
    there = sorted((-logits[0, place], items[0, place], place) for place in range(8) if items[0, place] >= 0)
    best = [place for *_, place in there][:size]
    assert found[: len(best)] == best
    assert len(set(found)) == size
