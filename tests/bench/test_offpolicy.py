"""Off-policy estimates against a known truth; the benchmark does the same with more logs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench import offpolicy
from bench.offpolicy import drawn, estimates, scene, stated

ESTIMATORS = ("ips", "snips", "doubly_robust")


@pytest.fixture(scope="module")
def here():
    return scene()


def test_intervals_hold_the_truth_as_often_as_they_say(here):
    found = list(estimates(here, stated, logs=300, orders=1_000))
    for name in ESTIMATORS:
        covered = np.mean([each[name].low <= here.truth <= each[name].high for each in found])
        # 0.95, give or take three standard errors of 300 logs.
        assert covered == pytest.approx(0.95, abs=0.038), name


def test_the_service_s_own_draws_make_estimates_unbiased(here):
    found = list(estimates(here, drawn, logs=60, orders=150))
    for name in ESTIMATORS:
        values = np.array([each[name].value for each in found])
        assert values.mean() == pytest.approx(here.truth, abs=4 * values.std() / np.sqrt(len(values))), name


def test_a_propensity_that_is_not_the_draws_shows(here):
    """Were the stated share of exploring orders wrong, the estimates would be off by more than chance."""
    wrong = replace(here, rules=here.rules.model_copy(update={"share": here.rules.share / 2}))

    def by_the_true_rules(_, rng, orders):
        return drawn(here, rng, orders)

    values = np.array([each["ips"].value for each in estimates(wrong, by_the_true_rules, logs=60, orders=150)])
    assert abs(values.mean() - here.truth) > 4 * values.std() / np.sqrt(len(values))


def test_every_case_is_printed(capsys):
    offpolicy.measure(logs=3, orders=50)
    printed = capsys.readouterr().out
    for logging in ("stated", "drawn"):
        for name in ESTIMATORS:
            assert f'"offpolicy.{logging}.{name}.coverage"' in printed
