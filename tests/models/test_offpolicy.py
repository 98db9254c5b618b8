"""Off-policy estimators on logs small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.offpolicy import Logged, doubly_robust, ips, snips


def log(reward, propensity, target, group=None):
    return Logged(*(np.array(values, float) for values in (reward, propensity, target)), group)


SMALL = log([1, 0, 1], [0.5, 0.5, 0.25], [1, 0, 0.5])
"""Weights 2, 0, 2."""


def test_estimates_worked_out_by_hand():
    assert ips(SMALL).value == pytest.approx(4 / 3)
    assert snips(SMALL).value == pytest.approx(1)
    predicted, expected = np.array([0.5, 0.5, 1]), np.array([0.5, 0.25, 0.75])
    assert doubly_robust(SMALL, predicted, expected).value == pytest.approx((0.5 + 2 * 0.5 + 0.25 + 0.75) / 3)
    assert ips(SMALL).effective == pytest.approx(16 / 8)


def test_an_interval_worked_out_by_hand():
    found = ips(SMALL)
    half = 1.96 * np.std([2, 0, 2], ddof=1) / np.sqrt(3)
    assert (found.low, found.high) == pytest.approx((4 / 3 - half, 4 / 3 + half), abs=1e-3)


def test_a_policy_judged_by_its_own_log_earned_the_mean():
    own = log([1, 0, 0, 1], [0.2, 0.4, 0.6, 0.8], [0.2, 0.4, 0.6, 0.8])
    nothing = np.zeros(4)
    assert ips(own).value == snips(own).value == doubly_robust(own, nothing, nothing).value == 0.5
    assert ips(own).effective == 4


def test_a_reward_model_that_is_right_leaves_the_target_s_own_spread_alone():
    expected = np.array([0.3, 0.3, 0.3])
    found = doubly_robust(SMALL, SMALL.reward, expected)
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.3, 0.3))


def test_saying_everything_twice_makes_no_interval_narrower():
    twice = log(
        *(np.repeat(values, 2) for values in (SMALL.reward, SMALL.propensity, SMALL.target)), np.repeat([7, 8, 9], 2)
    )
    assert snips(twice)[:3] == pytest.approx(snips(SMALL)[:3])
    assert ips(twice)[:3] == pytest.approx(ips(SMALL)[:3])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1, 0], [0.5, 0.0], [1, 1]), "had no chance"),
        (([1, 0], [0.5, 1.1], [1, 1]), "propensity"),
        (([1, 0], [0.5, 0.5], [1, -1]), "target"),
        (([1, np.nan], [0.5, 0.5], [1, 1]), "finite"),
        (([1, 0], [0.5], [1, 1]), "one length"),
        (([1], [0.5], [1]), "two groups"),
        (([1, 0], [0.5, 0.5], [1, 1], np.array([3, 3])), "two groups"),
    ],
)
def test_a_log_that_makes_no_sense_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        log(*arguments)


def test_a_target_that_was_never_shown_is_refused_by_the_ratio():
    unseen = log([1, 0], [0.5, 0.5], [0, 0])
    assert ips(unseen).value == 0
    with pytest.raises(ValueError, match="says nothing"):
        snips(unseen)
    with pytest.raises(ValueError, match="predictions"):
        doubly_robust(unseen, np.zeros(3), np.zeros(2))


SIZE = 6


@given(
    arrays(float, SIZE, elements=st.floats(0, 1)),
    arrays(float, SIZE, elements=st.floats(0.01, 1)),
    arrays(float, SIZE, elements=st.floats(0.01, 1)),
)
def test_the_normalised_estimate_lies_within_the_rewards(reward, propensity, target):
    found = snips(log(reward, propensity, target))
    assert reward.min() - 1e-9 <= found.value <= reward.max() + 1e-9
    assert found.low <= found.value <= found.high
    assert 1 - 1e-9 <= found.effective <= SIZE + 1e-9
