import copy
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from conf.errors import DataError
from conf.vocabulary import EVERYWHERE, NO_ANCHOR, Source
from models import rerank
from models.blend import LEARNT
from models.measuring import counted_lists, genre_weights, open_catalogue
from models.modelfiles import RANKER, TOWER, encode_items, is_whole, load_model, load_usable, save_model
from models.scoring import Scorer
from models.types import LOGIT_GRID, CandidateLists, Filters, UserBatch
from tests.models.blocks import BLOCK, PROFILE, block_of

ITEMS = 2 * BLOCK
NOW = 1000.0


@pytest.fixture(scope="module")
def model(trained):
    return load_model(trained)


@pytest.fixture(scope="module")
def encoded(model, world):
    return encode_items(model, world.items)


@pytest.fixture(scope="module")
def lists(model, encoded, small):
    return counted_lists(encoded.vectors, encoded.genres, np.arange(ITEMS, 0, -1), model.item_item.near, small)


@pytest.fixture(scope="module")
def scorer(model, encoded, lists, small):
    return Scorer(model, encoded, open_catalogue(encoded.genres), lists, small.retrieval, NOW)


def users_of(histories, width=10):
    history = np.full((len(histories), width), -1, np.int32)
    for row, own in enumerate(histories):
        if own:
            history[row, -len(own[-width:]) :] = own[-width:]
    profile = {name: [None] * len(histories) for name in PROFILE}
    return UserBatch(history, profile, np.array([len(own) for own in histories], np.int32))


def filters_of(histories, encoded, maturity=4, region=EVERYWHERE):
    offsets = np.cumsum([0, *map(len, histories)]).astype(np.int64)
    watched = np.array([item for own in histories for item in own], np.int32)
    count = len(histories)
    return Filters(
        (offsets, watched),
        np.full(count, maturity, np.uint8),
        np.full(count, region, np.uint64),
        genre_weights(users_of(histories).history, encoded.genres, 0.1),
    )


def test_users_get_what_their_block_watches(scorer, encoded):
    histories = [[0, 1, 2], [20, 21, 22]]
    found = scorer.score(users_of(histories), filters_of(histories, encoded))
    for row, block in enumerate((0, 1)):
        assert {block_of(item) for item in found.item_no[row]} == {block}
        assert not set(found.item_no[row]) & set(histories[row])
    assert found.vectors.shape == (2, 16)
    assert (np.diff(found.logit_q, axis=1) <= 0).all()


def test_a_user_of_whom_nothing_is_known_gets_a_full_list(scorer, encoded):
    found = scorer.score(users_of([[]]), filters_of([[]], encoded))
    assert len(set(found.item_no[0])) == 10
    assert (found.item_no >= 0).all()


def test_short_lists_are_filled_from_the_popular_ones(model, encoded, small):
    nothing = np.zeros(0, np.int32)
    lists = CandidateLists(np.full((ITEMS, 5), -1, np.int32), np.full((2, 5), -1, np.int32), nothing, nothing,
                           np.arange(ITEMS, dtype=np.int32))  # fmt: skip
    retrieval = small.retrieval.model_copy(update={"ann": 4})
    silent = replace(model.item_item, weights=np.zeros_like(model.item_item.weights))
    alone = replace(model, item_item=silent)
    scorer = Scorer(alone, encoded, open_catalogue(encoded.genres), lists, retrieval, NOW)
    found = scorer.score(users_of([[0, 1]]), filters_of([[0, 1]], encoded))
    assert len(set(found.item_no[0])) == 10
    assert (found.source[0] == Source.ANN).sum() == 4
    assert (found.source[0] == Source.POPULAR).sum() == 6
    assert not {0, 1} & set(found.item_no[0])


def test_one_genre_fills_no_more_than_its_share_while_others_last(model, encoded, lists, small):
    retrieval = small.retrieval.model_copy(update={"genre_share": 0.6})
    scorer = Scorer(model, encoded, open_catalogue(encoded.genres), lists, retrieval, NOW)
    found = scorer.score(users_of([[0, 1, 2]]), filters_of([[0, 1, 2]], encoded))
    assert [block_of(item) for item in found.item_no[0]].count(0) == 6
    assert (np.diff(found.logit_q[0]) <= 0).all()


def test_reasons_are_true(scorer, model, encoded, lists):
    histories = [[0, 1, 2, 3, 4, 5], [16, 20, 22]]
    filters = replace(filters_of(histories, encoded))
    found = scorer.score(users_of(histories), filters)
    assert len(set(found.source.ravel().tolist())) > 1
    for row, history in enumerate(histories):
        newest = history[::-1]
        for item, source, anchor in zip(found.item_no[row], found.source[row], found.anchor[row], strict=True):
            if source == Source.SIMILAR:
                watched = newest[anchor]
                speaks_for = model.item_item.items[watched][model.item_item.weights[watched] > 0]
                assert item in lists.similar[watched] or item in speaks_for
            elif source == Source.GENRE:
                assert filters.genre_weights[row, anchor] > 0.3
                assert item in lists.by_genre[anchor]
            else:
                assert anchor == NO_ANCHOR
            if source == Source.TRENDING:
                assert item in lists.trending


HISTORIES = st.lists(st.lists(st.integers(0, ITEMS - 1), unique=True, max_size=12), min_size=1, max_size=20)


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HISTORIES, st.randoms(use_true_random=False))
def test_a_list_does_not_depend_on_who_else_is_in_the_batch(scorer, encoded, histories, random):
    whole = scorer.score(users_of(histories), filters_of(histories, encoded))
    order = list(range(len(histories)))
    random.shuffle(order)
    turned = [histories[place] for place in order]
    again = scorer.score(users_of(turned), filters_of(turned, encoded))
    alone = scorer.score(users_of(histories[:1]), filters_of(histories[:1], encoded))
    for name in ("item_no", "logit_q", "source", "anchor", "vectors"):
        assert getattr(whole, name)[order].tobytes() == getattr(again, name).tobytes()
        assert getattr(whole, name)[:1].tobytes() == getattr(alone, name).tobytes()


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    HISTORIES,
    st.integers(0, 2),
    st.lists(st.sampled_from(["free", "inactive", "adult", "elsewhere", "early", "late"]), min_size=ITEMS,
             max_size=ITEMS),
)  # fmt: skip
def test_nobody_gets_what_they_may_not_see(model, encoded, lists, small, histories, limit, kinds):
    kind = np.array(kinds)
    catalogue = replace(
        open_catalogue(encoded.genres),
        active=kind != "inactive",
        maturity=np.where(kind == "adult", 3, 0).astype(np.uint8),
        licensed=np.where(kind == "elsewhere", np.uint64(2), EVERYWHERE),
        available_from=np.where(kind == "early", NOW + 1, -np.inf),
        available_until=np.where(kind == "late", NOW, np.inf),
    )
    scorer = Scorer(model, encoded, catalogue, lists, small.retrieval, NOW)
    region = EVERYWHERE | np.uint64(1)
    found = scorer.score(users_of(histories), filters_of(histories, encoded, limit, region))
    for row, history in enumerate(histories):
        allowed = rerank.allowed(
            np.arange(ITEMS), active=catalogue.active, maturity=catalogue.maturity, licensed=catalogue.licensed,
            available_from=catalogue.available_from, available_until=catalogue.available_until, now=NOW,
            maturity_limit=limit, region_bit=region, exclude=np.array(history, np.int64),
        )  # fmt: skip
        got = found.item_no[row][found.item_no[row] >= 0]
        assert allowed[got].all()
        assert len(set(got)) == len(got)
        assert len(got) == min(10, allowed.sum())


def test_without_numbers_from_the_ranker_a_simpler_order_makes_the_lists_and_they_say_so(
    model, encoded, lists, small, world
):
    histories = [[0, 1, 2], [20, 21, 22]]
    half = encoded.half.copy()
    half[:5] = np.nan  # of items that only the first user's block has
    broken = replace(model, ranker=copy.deepcopy(model.ranker))
    broken.ranker.blend[LEARNT] = 1.0
    scorer = Scorer(broken, replace(encoded, half=half), open_catalogue(encoded.genres), lists, small.retrieval, NOW)
    found = scorer.score(users_of(histories), filters_of(histories, encoded))
    assert found.simpler[0]
    assert np.abs(found.logit_q[0]).max() < 8 * LOGIT_GRID  # scores are stored from -8 to 8
    assert {block_of(item) for item in found.item_no[0]} == {0}
    assert (np.diff(found.logit_q, axis=1) <= 0).all()


@pytest.mark.parametrize("damage", ["missing", "other bytes", "no numbers"])
def test_a_ranker_that_cannot_be_used_is_replaced(damage, trained, world, small, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "model")
    whole = load_model(folder)
    if damage == "missing":
        (folder / RANKER).unlink()
    elif damage == "other bytes":
        (folder / RANKER).write_bytes(b"nothing")
    else:
        whole.ranker.last.weight.fill_(float("nan"))
        folder = tmp_path / "again"
        save_model(whole, world.items, folder)
    with pytest.raises(DataError, match=RANKER):
        load_model(folder)
    model, problem = load_usable(folder)
    assert RANKER in problem
    assert is_whole(folder) == (damage == "no numbers")  # then it was saved so
    assert (model.order, model.calibrated) == ("simpler", False)
    encoded = encode_items(model, world.items)
    assert np.isfinite(encoded.context).all()
    lists = counted_lists(encoded.vectors, encoded.genres, np.arange(ITEMS, 0, -1), model.item_item.near, small)
    histories = [[0, 1, 2], [20, 21, 22]]
    found = Scorer(model, encoded, open_catalogue(encoded.genres), lists, small.retrieval, NOW).score(
        users_of(histories), filters_of(histories, encoded)
    )
    assert [{block_of(item) for item in row} for row in found.item_no] == [{0}, {1}]


def test_no_other_file_of_a_model_is_done_without(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "model")
    assert is_whole(folder)
    (folder / TOWER).unlink()
    assert not is_whole(folder)
    assert not is_whole(tmp_path / "none")
    with pytest.raises(DataError, match=TOWER):
        load_usable(folder)


def test_a_user_whom_the_tower_has_no_numbers_for_is_told_of_and_gets_what_their_history_says(
    model, encoded, lists, small
):
    class Numberless:
        def users(self, inputs, history, profile, watches):
            vectors = model.tower.users(inputs, history, profile, watches)
            vectors[0] = np.nan
            return vectors

    scorer = Scorer(
        replace(model, tower=Numberless()), encoded, open_catalogue(encoded.genres), lists, small.retrieval, NOW
    )
    histories = [[0, 1, 2], [20, 21, 22]]
    found = scorer.score(users_of(histories), filters_of(histories, encoded))
    assert found.simpler.tolist() == [True, False]
    assert {block_of(item) for item in found.item_no[0]} == {0}
    assert not found.vectors[0].any()
