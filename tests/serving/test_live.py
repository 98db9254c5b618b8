"""The real service under load, while generations come, items are taken down and it is told to end."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from datetime import UTC, datetime

import numpy as np
import pytest

from serving.local import serve_once
from stores.opening import open_store
from stores.takedowns import take_down
from tests.serving.load import Load

HOME = "/api/v1/recommendations"
FOLLOWED_SECONDS = 2.0


@pytest.fixture(scope="module")
def running(tmp_path_factory, make_home, new_world, make_body, rules):
    """A published world and its service, with two workers that look as often as by default."""
    settings = make_home(tmp_path_factory.mktemp("live"), "serving.follow_seconds=1")
    with open_store(settings) as store:
        world = new_world(settings, store)
        world.publish({"ann": make_body([3, 4, 5])})
        with serve_once(settings, rules) as url:
            yield world, url


def requests(world, *paths):
    now = datetime.now(UTC)
    return [(path, world.token(user, at=now)) for path in paths or (HOME,) for user in ("ann", "stranger")]


def shown(answer):
    return [item["item_id"] for item in answer.json["recommendations"]]


def test_a_new_generation_under_load_costs_no_request_and_mixes_nothing(running, make_body):
    world, url = running
    old, new = world.generation, world.generation + 1
    with Load(url, requests(world)) as load:
        load.wait_for(50)
        # The catalogue turns round with the list: what mixed the two would show films under wrong names.
        titles = [f"New film {number}" for number in range(12)]
        world.publish({"ann": make_body([5, 4, 3])}, position=1, model_version="v2", titles=titles,
                      popular={"global": np.arange(12, dtype=np.int32)[::-1].copy()})  # fmt: skip
        load.wait_for(200, lambda answer: b'"generation":%d' % new in answer.body)
    assert load.broken + load.unaccepted == []
    assert {answer.status for answer in load.answers} == {200}
    found = {(answer.json["generation"], answer.json["model_version"]) for answer in load.answers}
    assert found == {(old, "v1"), (new, "v2")}
    whole = {(answer.json["generation"], answer.json["source"], tuple(shown(answer))) for answer in load.answers}
    assert len(whole) == 4  # two users in two generations, each with one answer


def test_an_item_taken_down_is_gone_from_every_worker_within_two_seconds(running):
    world, url = running
    with Load(url, requests(world, HOME, f"{HOME}?context=similar&item_id=m0"), clients=6) as load:
        load.wait_for(20, lambda answer: b'"m4"' in answer.body)
        take_down(world.store, ["m4"])
        taken = time.monotonic()
        while time.monotonic() < taken + FOLLOWED_SECONDS:
            time.sleep(0.01)
        before = len(load.answers)
        load.wait_for(100)
    assert not any(b'"m4"' in answer.body for answer in load.answers[before + load.clients :])
    assert all(shown(answer) for answer in load.answers)


def test_the_end_under_load_answers_everything_that_was_accepted(tmp_path, make_home, new_world, make_body, rules):
    settings = make_home(tmp_path)
    with ExitStack() as stack:
        world = new_world(settings, stack.enter_context(open_store(settings)))
        world.publish({"ann": make_body([3, 4, 5])})
        service = serve_once(settings, rules)
        url = service.__enter__()
        loads = [
            stack.enter_context(Load(url, requests(world), clients=clients, pause=pause, fresh=fresh))
            for clients, pause, fresh in ((4, 0.0, False), (4, 0.5, False), (4, 0.0, True))
        ]
        loads[0].wait_for(200)
        loads[2].wait_for(200)
        service.__exit__(None, None, None)
        for load in loads:
            load.join()
    assert [load.broken for load in loads] == [[], [], []]
    assert sum(len(load.unaccepted) for load in loads) <= 1
    assert {answer.status for load in loads for answer in load.answers} == {200}
    assert [load.refused for load in loads] == [4, 4, 4]
    assert any(answer.last for answer in loads[1].answers)


def test_a_worker_that_ends_beside_others_drops_nothing(running):
    world, url = running
    with Load(url, requests(world)) as kept, Load(url, requests(world), fresh=True) as fresh:
        kept.wait_for(50)
        os.kill(_worker(world), signal.SIGTERM)
        kept.wait_for(300)
        fresh.wait_for(300)
    assert kept.broken + fresh.broken + kept.unaccepted + fresh.unaccepted == []
    assert kept.refused + fresh.refused == 0
    assert {answer.status for answer in kept.answers + fresh.answers} == {200}


def _worker(world) -> int:
    from tests.serving.test_local import workers

    return workers(world)[0]
