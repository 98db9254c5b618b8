"""A new model beside the one that serves, on the same hold-out."""

from __future__ import annotations

import numpy as np
import pytest

from models.calibration import Shown
from models.evaluation import Cases
from models.promotion import EVERYBODY, Held, compare, compare_calibration, refused
from models.types import UserBatch

USERS = 60
"""Each has one held-out item, 0. Even ones are in DE, odd ones in US; the first ten are new."""


@pytest.fixture
def cases():
    nothing = (np.zeros(USERS + 1, np.int64), np.zeros(0, np.int32))
    watches = np.where(np.arange(USERS) < 10, 3, 40).astype(np.int32)
    profile = {"region": ["DE", "US"] * (USERS // 2), "age_band": [None] * USERS}
    users = UserBatch(np.zeros((USERS, 1), np.int32), profile, watches)
    return Cases(users, nothing, (np.arange(USERS + 1, dtype=np.int64), np.zeros(USERS, np.int32)))


def lists(place):
    """Lists of 20 in which item 0 stands at `place` (a number, or one a user); 20: nowhere."""
    rows = np.tile(np.arange(1, 21, dtype=np.int32), (USERS, 1))
    where = np.broadcast_to(place, USERS)
    inside = where < 20
    rows[np.flatnonzero(inside), where[inside]] = 0
    return rows


def judged(cases, champion, challenger, min_users=5):
    held = Held(lists(challenger), cases, np.full(21, 100))
    return compare(lists(champion), held, 0.1, 0.02, min_users)


def test_the_same_lists_pass(cases):
    findings = judged(cases, 3, 3)
    assert refused(findings) == []
    segments = {EVERYBODY, "users with at most 5 watches", "region DE", "region US"}
    assert {finding.segment for finding in findings} == segments


def test_what_is_found_is_made_of_plain_values(cases):
    """Dagster and JSON refuse numpy's."""
    kinds = {type(value) for finding in judged(cases, 3, 0) for value in vars(finding).values()}
    assert kinds == {str, int, float, bool}


def test_better_lists_pass_and_worse_ones_are_refused_in_words(cases):
    assert refused(judged(cases, 3, 0)) == []
    reasons = refused(judged(cases, 0, 3))
    assert reasons[0] == "ndcg@20 of all users: 0.4307 instead of 1.0000 (-0.5693 to -0.5693, 60 users)"


def test_a_segment_that_loses_is_found_though_all_together_gain(cases):
    even = np.arange(USERS) % 2 == 0
    reasons = refused(judged(cases, 2, np.where(even, 6, 0)))
    assert len(reasons) == 2  # NDCG and MRR; recall is the same
    assert all("region DE" in reason for reason in reasons)


def test_a_segment_with_few_users_is_not_judged(cases):
    assert refused(judged(cases, 2, np.where(np.arange(USERS) < 10, 6, 0), min_users=11)) == []


def test_noise_in_a_segment_is_no_reason(cases):
    rng = np.random.default_rng(3)
    places = rng.permutation(np.repeat(np.arange(4), USERS // 4))
    assert refused(judged(cases, places, rng.permutation(places))) == []


def test_new_items_are_a_segment_of_their_own(cases):
    held = Held(lists(3), cases, np.concatenate([[5], np.full(20, 100)]))
    segments = {finding.segment for finding in compare(lists(3), held, 0.1, 0.02, 5)}
    assert "items with fewer than 20 positives" in segments


def test_lists_of_few_items_are_refused(cases):
    wide = np.arange(USERS * 20, dtype=np.int32).reshape(USERS, 20) + 1
    held = Held(lists(20), cases, np.full(USERS * 20 + 1, 100))
    assert any("coverage@20" in reason for reason in refused(compare(wide, held, 0.1, 0.02, 5)))


def test_probabilities_that_have_become_wrong_are_refused():
    rng = np.random.default_rng(3)
    logits = rng.normal(-2, 1, 4000)
    labels = (rng.random(4000) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    right, high, noisy = (Shown(logits + by, labels, np.ones(4000)) for by in (0.0, 1.0, rng.normal(0, 0.02, 4000)))
    assert refused(compare_calibration(right, right, 0.02)) == refused(compare_calibration(high, right, 0.02)) == []
    assert refused(compare_calibration(right, noisy, 0.02)) == []
    reasons = refused(compare_calibration(right, high, 0.02))
    assert len(reasons) == 1
    assert reasons[0].startswith("calibration error of all impressions: 0.1")
    assert reasons[0].endswith("4,000 impressions)")
    few = Shown(logits[:50], labels[:50], np.ones(50))
    assert compare_calibration(few, few, 0.02) == ()
