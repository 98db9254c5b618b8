"""Rates of groups of users, and what a benchmark makes of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench import ctr
from bench.lift import between, paired, totals
from sim.visitors import Outcome

DAY_MS = 86_400_000
START = int(ctr.END.timestamp() * 1000)


def outcome(user, clicks, impressions=10, seconds=60, begin=START):
    count = len(user)
    numbers = [np.broadcast_to(values, count) for values in (begin, impressions, clicks, clicks, 1, seconds)]
    return Outcome(np.array(user), *numbers, ["popular"] * count)


def test_visits_add_up_by_user():
    found = totals(outcome([2, 0, 2], [1, 0, 2], seconds=[60, 0, 120]), users=4)
    assert found.clicks.tolist() == [0, 0, 3, 0]
    assert found.impressions.tolist() == [10, 0, 20, 0]
    assert found.watches.tolist() == [1, 0, 2, 0]
    assert found.visits.tolist() == [1, 0, 2, 0]
    assert found.minutes.tolist() == [0, 0, 3, 0]


def test_visits_that_did_not_take_place_and_other_days_are_left_out():
    days = np.array([START, START + DAY_MS, START])
    found = totals(outcome([0, 0, 1], [1, 2, 3], impressions=[10, 10, 0], begin=days), 2, START, START + DAY_MS)
    assert found.clicks.tolist() == [1, 0]


RNG = np.random.default_rng(1)
MANY = RNG.poisson(2, 400).astype(float), np.full(400, 10.0)


def test_a_group_beside_itself_is_no_better():
    assert paired(MANY, MANY)[2:] == (1, 1, 1)
    value, peer, ratio, low, high = between(MANY, MANY)
    assert (value, peer, ratio) == (pytest.approx(0.2, abs=0.02), value, 1)
    assert 0.8 < low < 1 < high < 1.25


def test_the_same_users_in_two_worlds_tell_more_than_others_would():
    twice = MANY[0] + RNG.poisson(0.2, 400), MANY[1]
    alike, apart = paired(twice, MANY), between(twice, MANY)
    assert alike.ratio == apart.ratio
    assert alike.low > 1
    assert alike.high - alike.low < (apart.high - apart.low) / 2


def test_an_interval_holds_the_truth_as_often_as_it_says():
    held = 0
    for number in range(200):
        rng = np.random.default_rng(number)
        ours, theirs = rng.poisson(3, 80).astype(float), rng.poisson(2, 60).astype(float)
        found = between((ours, np.ones(80)), (theirs, np.ones(60)))
        held += found.low <= 1.5 <= found.high
    assert 180 <= held <= 199


def test_the_report_has_both_peers_and_the_holdout_s_own_check(capsys):
    plan = ctr.Plan(users=4, items=1, days=1, runs=1, holdout=0.5)
    held = np.array([False, False, True, True])
    ctr.report(plan, held, outcome([0, 1, 2, 3], [4, 4, 2, 2]), outcome([0, 1, 2, 3], [2, 2, 2, 2]))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["case"], line["peer"], line["ratio"]) for line in lines] == [
        ("ctr", ctr.HOLDOUT, 2), ("ctr", ctr.WITHOUT, 2),
        ("ctr.first", ctr.HOLDOUT, 2), ("ctr.first", ctr.WITHOUT, 2),
        ("watch_rate", ctr.HOLDOUT, 1), ("watch_rate", ctr.WITHOUT, 1),
        ("watch_time", ctr.HOLDOUT, 1), ("watch_time", ctr.WITHOUT, 1),
        ("ctr.holdout", ctr.WITHOUT, 1),
    ]  # fmt: skip
    assert lines[0]["value"] == 0.4
    assert lines[0]["spread"] == [2, 2]


def test_only_the_share_of_the_holdout_differs_from_the_rules():
    rules, given = ctr.load_rules(), ctr.with_baseline(0.25)
    assert given.baseline.share == 0.25
    assert given.model_copy(update={"baseline": rules.baseline}) == rules
