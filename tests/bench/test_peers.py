"""Peers on tables whose answer is plain: two groups of users who share nothing."""

from __future__ import annotations

import numpy as np
import pytest

from bench import peers_implicit
from bench.peers import OWN, Peer, chosen, ease, item_knn, popularity, rank, recent_popularity
from tests.bench.relevance_data import holding_out, learnt

# Users 0–2 like the even items, 3–5 the odd ones; each lacks one of their group.
GROUPS = learnt([0, 2, 4], [2, 4, 6], [0, 4, 6], [1, 3, 5], [3, 5, 7], [1, 5, 7], items=10)
MISSING = [[6], [0], [2], [7], [1], [3]]
GROUPED = holding_out(GROUPS, *MISSING)


@pytest.mark.parametrize(("fit", "params"), [(item_knn, {"neighbours": 3}), (ease, {"l2": 1})])
def test_what_the_others_of_a_group_like_comes_first(fit, params):
    assert rank(GROUPED, fit(GROUPS, params, 0), 1).tolist() == MISSING


def test_ease_is_the_ridge_regression_of_each_item_on_the_others():
    past = learnt([0, 1, 2], [0, 1], [1, 2], [0], items=3)
    table = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0]], float)
    weights = np.zeros((3, 3))
    for item in range(3):
        others = [other for other in range(3) if other != item]
        x = table[:, others]
        weights[others, item] = np.linalg.solve(x.T @ x + 2 * np.eye(2), x.T @ table[:, item])
    assert ease(past, {"l2": 2}, 0)(np.arange(4)) == pytest.approx(table @ weights, abs=1e-5)


def test_knn_adds_up_the_cosines_of_the_nearest_items_alone():
    past = learnt([0, 1, 2], [0, 1], [2], items=3)
    near, far = 1.0, 1 / 2
    every = item_knn(past, {"neighbours": 2}, 0)(np.array([1]))
    assert every == pytest.approx(np.array([[near, near, 2 * far]]))
    assert item_knn(past, {"neighbours": 1}, 0)(np.array([1])) == pytest.approx(np.array([[near, near, far]]))


def test_popular_items_come_by_number_where_they_are_as_popular_and_seen_ones_do_not():
    past = learnt([2], [2, 3], [3, 1], items=4)
    assert rank(holding_out(past, [0], [0], [0]), popularity(past, {}, 0), 4).tolist() == [
        [3, 1, 0, -1], [1, 0, -1, -1], [2, 0, -1, -1],
    ]  # fmt: skip


def test_recent_popularity_forgets():
    day = 86_400_000_000
    past = learnt([0, 1], [0, 2], items=3)
    past.times[:] = [0, 40 * day, 1, 40 * day]
    assert recent_popularity(past, {"days": 30}, 0)(np.array([0])).tolist() == [[0, 1, 1]]
    assert recent_popularity(past, {"days": 50}, 0)(np.array([0])).tolist() == [[2, 1, 1]]


def test_whoever_has_no_history_gets_what_is_popular_from_every_peer():
    past = learnt([3, 4], [4], [], items=5)
    assert rank(holding_out(past, [0], [0], [4]), lambda users: np.eye(5)[users], 2)[2].tolist() == [4, 3]


def test_parameters_are_chosen_by_what_places_the_later_part_of_the_training_first():
    past = learnt([0, 1, 2, 3, 4], items=10)  # item 4 is the inner held-out one
    peer = Peer(
        "one item", lambda past, params, seed: lambda users: np.eye(10)[[params["item"]]], [{"item": 9}, {"item": 4}]
    )
    assert chosen(peer, past, "user", 0) == {"item": 4}


@pytest.mark.parametrize("peer", peers_implicit.PEERS, ids=lambda peer: peer.name)
def test_factors_tell_the_groups_apart_and_a_seed_repeats_them(peer):
    params = {**peer.grid[0], "factors": 4, "rate": 0.1, "iterations": 200}
    scores = peer.fit(GROUPS, params, 3)(np.arange(6))
    own = np.arange(10) % 2 == np.array([[0], [0], [0], [1], [1], [1]])
    known = np.arange(10) < 8
    assert (np.where(own & known, scores, np.inf).min(1) > np.where(own | ~known, -np.inf, scores).max(1)).all()
    assert (peer.fit(GROUPS, params, 3)(np.arange(6)) == scores).all()


def test_names_are_told_apart():
    names = [peer.name for peer in (*OWN, *peers_implicit.PEERS)]
    assert len(set(names)) == len(names) == 6
