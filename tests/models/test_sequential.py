"""Intervals that may be looked at as often as one likes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.sequential import Moments, change, half_width

LOOKS, USERS, REPEATS = 60, 40, 300


def moments(x, y):
    return Moments(len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum())


def looks(rng, lift):
    """Intervals of two groups, as new users come in and those there are come again; clicks of one are `lift` more."""
    shown = [rng.poisson(8, LOOKS * USERS).astype(float) for _ in range(2)]
    taste = [rng.beta(2, 8, LOOKS * USERS) for _ in range(2)]
    clicks = [
        rng.binomial(x.astype(int), np.minimum(t * r, 1)) for x, t, r in zip(shown, taste, (1 + lift, 1), strict=True)
    ]
    for look in range(1, LOOKS + 1):
        seen = slice(0, look * USERS)
        yield change(*(moments(x[seen], y[seen]) for x, y in zip(shown, clicks, strict=True)), 0.05, 0.1)


def test_a_difference_that_is_not_there_is_found_at_no_look_in_95_of_100_cases():
    rng = np.random.default_rng(1)
    wrong = sum(any(not one.low <= 0 <= one.high for one in looks(rng, 0.0)) for _ in range(REPEATS))
    assert wrong <= 0.05 * REPEATS + 2 * math.sqrt(0.05 * 0.95 * REPEATS)


def test_one_look_intervals_would_find_it_far_more_often():
    rng = np.random.default_rng(1)

    def fooled():
        steps = np.cumsum(rng.normal(size=(LOOKS, USERS)).sum(1))
        return np.any(np.abs(steps) / np.sqrt(np.arange(1, LOOKS + 1) * USERS) > 1.96)

    assert np.mean([fooled() for _ in range(REPEATS)]) > 0.2


def test_a_difference_that_is_there_is_found_in_time():
    rng = np.random.default_rng(2)
    assert all(list(looks(rng, 0.3))[-1].low > 0 for _ in range(20))


def test_rates_and_their_change():
    found = change(Moments(3, 30, 6, 300, 12, 60), Moments(3, 30, 5, 300, 9, 50), 0.05, 0.1)
    assert (found.rate, found.other) == (0.2, pytest.approx(1 / 6))
    assert found.value == pytest.approx(0.2)


@pytest.mark.parametrize("lacking", [Moments(0, 0, 0, 0, 0, 0), Moments(5, 10, 0, 30, 0, 0), Moments(1, 3, 1, 9, 1, 3)])
def test_what_cannot_be_told_may_be_anything(lacking):
    found = change(Moments(50, 500, 60, 5300, 110, 640), lacking, 0.05, 0.1)
    assert (math.isnan(found.value), found.low, found.high) == (True, -1, math.inf)


def test_more_information_narrows_it():
    widths = [half_width(1 / information, 0.05, 0.05) for information in (10, 100, 1000, 10_000)]
    assert widths == sorted(widths, reverse=True)
    assert half_width(0.0, 0.05, 0.05) == 0
