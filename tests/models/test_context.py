"""What contexts say: two genres, watched in the evening and in the morning."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from models.batches import survey
from models.context import (
    GENRES,
    MAIN_GENRE,
    ContextTerm,
    Effects,
    Occasions,
    context_features,
    effects,
    moments,
    read_occasions,
    set_context,
)
from models.encoding import encode
from models.fit_context import Habits, by_user, choose_context
from models.measuring import Trial
from models.modelfiles import load_model
from models.ranker import Ranker, RankerShape
from tests.models.blocks import BLOCK, SCHEMA, TableSource, example, items_table

SPACE, LOVE = 0, 1
MORNING, EVENING = 1, 3
FEATURES = np.array([[1, 0, 1, 0], [0, 1, 0, 1]], np.float32)
TERM = ContextTerm(MAIN_GENRE, 1.0)
SHAPE = RankerShape(dim=4, genres=2, profile=(0, 0, 2, 0), pages=4, positions=5, hidden=(8, 4), dropout=0.1)


@pytest.fixture
def ranker():
    return Ranker(SHAPE)


def occasions(*watched, weight=1.0):
    """From (user, item_no, daypart, region); all on one page and day."""
    user, item_no, daypart, region = (np.array(column, np.int64) for column in zip(*watched, strict=True))
    same = np.ones(len(user), np.int64)
    return Occasions(user, item_no, same, daypart, same, region, np.full(len(user), weight, np.float32))


NOTHING = Occasions(*(np.zeros(0, np.int64) for _ in range(6)), np.zeros(0, np.float32))


def found(ranker, watched, shown=NOTHING, term=TERM):
    return effects(moments(watched, FEATURES, ranker), moments(shown, FEATURES, ranker), ranker, term)


def habit(users, first=0, region=1, morning=SPACE):
    """Each watches one genre in the morning and the other in the evening."""
    return [
        (user, item, daypart, region)
        for user in range(first, first + users)
        for item, daypart in ((morning, MORNING), (1 - morning, EVENING))
    ]


def test_what_the_same_people_watch_at_one_time_and_not_at_another_is_the_times(ranker):
    daypart = found(ranker, occasions(*habit(5000))).daypart[1]
    assert daypart[MORNING, 2] > 0.4
    assert daypart[MORNING, 3] < -0.4
    assert daypart[MORNING].tolist() == pytest.approx((-daypart[EVENING]).tolist())
    assert not daypart[[0, 2]].any()


def test_the_taste_of_evening_people_is_not_taken_for_the_evenings(ranker):
    habits = [(SPACE, MORNING), (LOVE, EVENING)] * 500
    people = [(user, item, daypart, 1) for user, (item, daypart) in enumerate(habits)]
    twice = [occasion for occasion in people for _ in range(2)]
    assert np.abs(found(ranker, occasions(*twice)).daypart).max() < 1e-9


def test_few_occasions_say_little(ranker):
    few, many = (np.abs(found(ranker, occasions(*habit(count))).daypart).max() for count in (20, 5000))
    assert 0 < few < many / 5


def test_an_hour_is_another_time_of_day_in_each_region(ranker):
    daypart = found(ranker, occasions(*habit(3000), *habit(3000, 3000, region=2, morning=LOVE))).daypart
    assert daypart[1, MORNING, 2] > 0.4
    assert daypart[2, MORNING, 2] < -0.4
    assert np.abs(daypart[0]).max() < 0.01


def test_what_the_service_shows_in_a_context_does_not_come_back_as_a_wish(ranker):
    watched = occasions(*habit(1000))
    assert np.abs(found(ranker, watched, watched).daypart).max() < 1e-9


def test_weights_that_differ_count_as_fewer(ranker):
    kept = occasions(*habit(500))
    kept.weight[::4] = 9.0
    as_one = moments(occasions(*habit(500)), FEATURES, ranker)
    assert moments(kept, FEATURES, ranker).often.sum() < 0.5 * as_one.often.sum()
    assert moments(occasions(*habit(500), weight=5.0), FEATURES, ranker).often.tolist() == as_one.often.tolist()


def test_the_ranker_says_what_was_found(ranker):
    found_here = found(ranker, occasions(*habit(3000), *habit(3000, 3000, region=2, morning=LOVE)))
    set_context(ranker, found_here)
    place = [np.array(numbers) for numbers in ([0, 1], [MORNING, EVENING], [1, 3], [1, 2])]
    rows = ranker.context_rows(*(torch.from_numpy(numbers) for numbers in place))
    added = rows @ ranker.context_vectors(torch.from_numpy(FEATURES)).T
    assert added.numpy() == pytest.approx(found_here.rows(*place) @ FEATURES.T, abs=1e-5)


def test_an_items_features_are_its_genres_and_the_one_named_first():
    items = pa.table({"genres": pa.array([["Love", "Space"], ["Space"], []], pa.list_(pa.string()))})
    half = 0.5**0.5
    assert context_features(items, ["Space", "Love"]) == pytest.approx(
        np.array([[half, half, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]])
    )


def source(rows):
    return TableSource(pa.Table.from_pylist(rows, SCHEMA))


def shown(user, item_no, label, **more):
    return example(user, [], item_no, label, "train", origin="impression", page="home", **more)


def test_impressions_that_were_answered_stand_for_the_watches_where_there_are_enough():
    watched = [example(user, [], user, 1.0, "train") for user in range(4)]
    for answers, expected in ((2, [0, 1]), (1, [0, 1, 2, 3])):
        rows = [*watched, *(shown(user, user, 1.0) for user in range(answers)), shown(3, 7, 0.0)]
        examples = source(rows)
        known, all_shown = read_occasions(examples, ["train"], survey(examples, ["train"], 10))
        assert known.item_no.tolist() == expected
        assert sorted(all_shown.item_no.tolist()) == [*range(answers), 7]


def test_the_term_is_used_where_it_is_surely_better_and_nowhere_else(trained, small):
    model, items = load_model(trained), items_table()
    assert model.context_term is None, "in the world it was trained on contexts say nothing"
    catalogue = model.catalogue(items)
    # Lists of nearly all items: of those of one genre alone the term could say nothing.
    long = small.model_copy(update={"retrieval": small.retrieval.model_copy(update={"list_size": 2 * BLOCK - 2})})
    trial = Trial(model, encode(model.tower, model.ranker, catalogue, model.positives), items, long)
    habits = Habits(*(moments(part, features_of(items), model.ranker) for part in (occasions_of(items), NOTHING)))

    def chosen(morning):
        rows = [
            example(user, [2, BLOCK + 2], 3 + user % 4 + BLOCK * block, 1.0, "valid", daypart=daypart)
            for user in range(40)
            for block, daypart in ((morning, MORNING), (1 - morning, EVENING))
        ]
        return choose_context(trial, source(rows), catalogue.context, habits)

    assert chosen(morning=SPACE).term is not None
    assert chosen(morning=LOVE).term is None


def features_of(items):
    return context_features(items, ["Love", "Space"])


def occasions_of(items):
    """Space, items of block A, in the morning and Love in the evening."""
    rows = [(user, BLOCK * (daypart == EVENING), daypart, 0) for user in range(3000) for daypart in (MORNING, EVENING)]
    return occasions(*rows)


def test_a_user_counts_once_however_much_they_watched():
    assert by_user(np.array([1.0, 1, 1, -1]), np.array([0, 0, 0, 2])) == pytest.approx((0, 0.5**0.5))
    assert by_user(np.zeros(0), np.zeros(0, np.int64)) == (0, 0)


def test_features_that_a_term_does_not_read_have_no_effect(ranker):
    genres = found(ranker, occasions(*habit(100)), term=ContextTerm(GENRES, 0.5))
    assert isinstance(genres, Effects)
    assert genres.daypart[..., :2].any()
    assert not genres.daypart[..., 2:].any()
