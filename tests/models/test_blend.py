import numpy as np
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from models.blend import FEATURES, INPUTS, LEARNT, Pool, fit, judge, scaled

USERS, CANDIDATES = 40, 30


def pool_of(features, hits):
    item_no = np.tile(np.arange(hits.shape[1], dtype=np.int32), (len(hits), 1))
    return Pool(item_no, features.astype(np.float32), hits, np.maximum(hits.sum(1), 1))


def random_pool(seed, **parts):
    """Features are noise, plus as much of the hits as `parts` says."""
    rng = np.random.default_rng(seed)
    hits = rng.random((USERS, CANDIDATES)) < 0.1
    features = rng.normal(size=(USERS, CANDIDATES, len(FEATURES)))
    for name, share in parts.items():
        features[..., FEATURES.index(name)] += share * hits
    return pool_of(features, hits)


def ndcg(pool, weights):
    return pool.ndcg(pool.features @ weights, 20).mean()


def test_two_inputs_that_know_different_things_are_blended():
    pool = random_pool(1, two_tower=2.5, item_item=2.5)
    verdict = judge(pool)
    assert verdict.kind.startswith("blend")
    assert verdict.judged[verdict.kind] > max(verdict.judged[name] for name in INPUTS) + 0.02
    assert ndcg(random_pool(2, two_tower=2.5, item_item=2.5), verdict.weights) > 0.85


def test_an_input_that_is_right_is_left_alone():
    pool = random_pool(1)
    pool.features[..., FEATURES.index("item_item")] = pool.hits
    verdict = judge(pool)
    assert verdict.kind == "item_item"
    assert np.flatnonzero(verdict.weights).tolist() == [FEATURES.index("item_item")]


def test_the_network_is_used_where_it_knows_more():
    assert judge(random_pool(1, two_tower=1.0, learnt=4.0)).weights[LEARNT] > 0
    assert judge(random_pool(1, two_tower=4.0)).weights[LEARNT] == 0


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 3), st.floats(0, 3))
def test_what_is_used_was_never_worse_than_the_best_input(seed, tower, item_item):
    verdict = judge(random_pool(seed, two_tower=tower, item_item=item_item))
    assert verdict.judged[verdict.kind] == max(verdict.judged.values())


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_on_the_users_it_is_fitted_on_the_blend_is_never_worse_than_an_input(seed):
    pool = random_pool(seed, recent=1.0)
    places = list(range(len(FEATURES)))
    best = max(pool.ndcg(pool.features[..., place], 50).mean() for place in places)
    assert pool.ndcg(pool.features @ fit(pool, places), 50).mean() >= best - 1e-6


def test_a_stretch_changes_no_order_and_makes_sure_scores_larger():
    weights = np.eye(len(FEATURES), dtype=np.float32)[0]
    sure, unsure = (scaled(random_pool(1, two_tower=share), weights)[0] for share in (6.0, 0.5))
    assert sure > unsure > 0


def test_missing_candidates_rank_last():
    hits = np.array([[False, True]])
    pool = pool_of(np.zeros((1, 2, len(FEATURES))), hits)
    pool.item_no[0, 0] = -1
    assert pool.ndcg(np.array([[5.0, 0.0]]), 20).tolist() == [1.0]


def test_one_user_is_too_few_to_fit_on():
    pool = random_pool(1).take(np.arange(USERS) == 0)
    assert judge(pool).kind in (*INPUTS, "ranker")
