"""How a new model comes to all users."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.errors import PermanentError
from stores.control import Control
from stores.rollout import Challenger, Rollout, bucket
from tests.stores.test_control import after, made

SHADOW = Rollout("b", "v2", "salt", (5, 50, 100), 0, "running", "2026-11-23T06:00:00Z")
USERS = [f"user{number}" for number in range(2000)]


def steps():
    """The shadow and each step after it."""
    found = [SHADOW]
    while not found[-1].complete:
        found.append(found[-1].advanced("later", "went well"))
    return found


def test_each_step_serves_its_percent_of_users_and_all_that_the_one_before_served():
    served = [{user for user in USERS if step.serves(user)} for step in steps()]
    assert [step.percent for step in steps()] == [0, 5, 50, 100]
    assert served[0] == set()
    assert served[0] < served[1] < served[2] < served[3] == set(USERS)
    assert 60 < len(served[1]) < 140
    assert 920 < len(served[2]) < 1080


def test_a_shadow_prepares_the_users_of_the_first_step():
    shadow, first, *_ = steps()
    assert [user for user in USERS if shadow.prepares(user)] == [user for user in USERS if first.serves(user)]


@given(st.text(max_size=64), st.text(min_size=1, max_size=64))
def test_a_bucket_is_one_of_ten_thousand_and_stays(salt, user):
    assert bucket(salt, user) == bucket(salt, user)
    assert 0 <= bucket(salt, user) < 10_000


def test_who_is_held_is_served_still_and_who_is_aborted_is_not():
    first = SHADOW.advanced("later", "")
    assert (first.held("too few clicks").percent, first.aborted("fewer clicks").percent) == (5, 0)
    assert first.aborted("fewer clicks").prepared == 0
    for change in ("held", "aborted"):
        with pytest.raises(PermanentError, match="of v2 has ended: fewer clicks"):
            getattr(first.aborted("fewer clicks"), change)("again")
    with pytest.raises(PermanentError, match="serves everybody"):
        steps()[-1].advanced("later", "")


def test_the_control_record_keeps_it_until_its_model_is_the_champion():
    generation = Challenger("b", "v2", "artefact-b", since=2)
    control = after(1).with_rollout(SHADOW).begun(2)
    control = control.switched(replace(made(2), challenger=generation, model_id="a"))
    assert (control.rollout, control.generation().challenger) == (SHADOW, generation)
    assert Control.from_json(control.to_json()) == control
    assert control.begun(3).switched(replace(made(3), model_id="b")).rollout is None
    assert asdict(Rollout.of(asdict(SHADOW))) == asdict(SHADOW)


def test_records_from_before_there_were_rollouts_read_and_write_the_same():
    assert not {"rollout", "challenger", "model_id"} & set(json.loads(after(1).to_json()))
