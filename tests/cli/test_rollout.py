"""`topshelf rollout` and `topshelf lift`."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from conf.loading import load
from jobs.tables import OUTCOMES, ROLLOUTS
from stores.changing import change_control
from stores.control import Control
from stores.opening import open_store
from stores.rollout import Rollout
from tests.cli.conftest import write

STEP = Rollout("b", "v2", "salt", (5, 50, 100), 1, "running", "2026-11-23T06:00:00+00:00", "its shadow was like it")


@pytest.fixture
def rollout(home):
    """Sets the rollout of the home's store, and reads what has become of it."""
    settings = load({"TOPSHELF_HOME": str(home)}).settings
    with open_store(settings) as store:
        store.swap_control(None, Control.first("a-store"))

    def change(*to):
        with open_store(settings) as store:
            return change_control(store, lambda known: known.with_rollout(*to) if to else known, "")[1].rollout

    change(STEP)
    return change


def said_by(topshelf):
    def run(*arguments):
        done = topshelf(*arguments)
        return done.exit_code, done.output

    return run


def test_a_rollout_is_driven_by_hand(topshelf, rollout):
    run = said_by(topshelf)
    assert "v2: 5% of users, running, since 2026-11-23T06:00 (shadow → 5% → 50% → 100%)" in run("rollout", "status")[1]
    assert run("rollout", "hold") == (0, "v2: held, 5% of users are served it\n")
    assert run("rollout", "advance") == (0, "v2: running, 50% of users are served it\n")
    assert run("rollout", "abort", "--why", "it looks odd") == (0, "v2: aborted, nobody is served it\n")
    assert (rollout().percent, rollout().note) == (0, "it looks odd")
    code, said = run("rollout", "advance")
    assert (code, "the rollout of v2 has ended: it looks odd" in said) == (1, True)


def test_its_history_is_read_from_the_table(home, topshelf, rollout):
    run = said_by(topshelf)
    row = {"model_id": "b", "version": "v2", "state": "shadow", "traffic_percent": 0, "note": "its shadow begins",
           "evidence": "{}", "noted_at": datetime(2026, 11, 23, 5, tzinfo=UTC)}  # fmt: skip
    write(home, ROLLOUTS, [row])
    found = json.loads(run("rollout", "status", "--json")[1])
    assert (found["rollout"]["step"], found["history"][0]["note"]) == (1, "its shadow begins")
    assert "11-23 05:00" in run("rollout", "status")[1]


def test_where_there_is_none(topshelf, rollout):
    run = said_by(topshelf)
    rollout(None)
    assert "everybody is served the deployed model" in run("rollout", "status")[1]
    code, said = run("rollout", "hold")
    assert (code, "no rollout is under way" in said) == (1, True)


def outcomes(clicks):
    """100 users a variant, who each had one page of ten items; `clicks` by variant, one more for every other user."""
    same = {"model_version": "v1", "pages": 1, "shown": 10, "impressions": 0, "watches": 1, "hour": 5}
    return [
        {
            **same,
            "user_id": f"{variant}{number}",
            "assigned": variant,
            "clicks": count + number % 2,
            "minutes": 20.0 * count + number % 5,
            "date": date(2026, 11, 22),
        }
        for variant, count in clicks.items()
        for number in range(100)
    ]


def test_the_lift_is_that_of_rates_over_users(home, topshelf):
    run = said_by(topshelf)
    write(home, OUTCOMES, outcomes({"champion": 3, "popular": 2}))
    found = json.loads(run("lift", "--json")[1])
    assert (found["users"], found["ctr"]["rate"], found["ctr"]["other"]) == (100, 0.35, 0.25)
    assert found["ctr"]["value"] == pytest.approx(0.4)
    assert 0.1 < found["ctr"]["low"] < 0.4 < found["ctr"]["high"]
    assert "+40.0%" in run("lift")[1]
    code, said = run("lift", "--variant", "challenger")
    assert (code, "no outcomes of both challenger and popular" in said) == (1, True)
