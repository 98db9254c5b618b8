"""Two models' lists side by side: who gets which."""

from __future__ import annotations

import pytest

from serving.follower import Follower
from serving.metrics import Metrics
from stores.base import StoreUnavailable
from stores.rollout import Rollout

HOME = "/api/v1/recommendations?limit=3"
ALL, NONE = (100,), (1, 100)
"""Steps of which the first serves everybody, or with this salt nobody named here."""


@pytest.fixture
def tried(world, make_body):
    """Ann has a list of both models, kid of the champion alone; returns a way to set the rollout."""
    ann = {"ann": make_body([3, 4, 5])}
    world.publish(ann, challenger={"ann": make_body([7, 6, 2])}, position=1)

    def set_to(steps=ALL, step=1, model_id="b", state="running"):
        held = world.store.read_control()
        rollout = Rollout(model_id, "v2", "salt", steps, step, state, "2026-11-23T13:00:00Z")
        world.store.swap_control(held, held.with_rollout(rollout))

    return set_to


def asked(client, **kwargs):
    """Items, model version, assigned and served variant."""
    client.follower.poll()
    answer = client(HOME, **kwargs).json
    items = [item["item_id"] for item in answer["recommendations"]]
    return items, answer["model_version"], answer["assigned"], answer["variant"]


def test_who_is_assigned_the_challenger_gets_its_list_and_is_told_so(tried, client):
    champions = (["m5", "m3", "m4"], "v1", "champion", "champion")
    assert asked(client) == champions
    tried()
    assert asked(client) == (["m7", "m6", "m2"], "v2", "challenger", "challenger")
    tried(step=0)
    assert asked(client) == champions  # its shadow
    tried(steps=NONE)
    assert asked(client) == champions
    tried(state="aborted")
    assert asked(client) == champions


def test_without_a_list_of_the_challenger_the_champion_stands_in(tried, client):
    tried()
    items, version, assigned, variant = asked(client, user="kid")
    assert (items[0], version, assigned, variant) == ("m5", "v1", "challenger", "champion")


def test_a_generation_without_that_challenger_serves_the_champion(tried, client, world, make_body):
    tried(model_id="another")
    assert asked(client)[1:] == ("v1", "challenger", "champion")
    tried()
    world.publish({"ann": make_body([3, 4])}, position=2)
    assert asked(client)[1:] == ("v1", "challenger", "champion")


def test_rows_of_an_earlier_challenger_are_never_served(tried, client, world, make_body):
    tried()
    world.publish({}, challenger={"kid": make_body([7])}, since=3)
    assert asked(client)[1:] == ("v1", "challenger", "champion")
    assert asked(client, user="kid")[1] == "v2"


def test_a_cursor_does_not_lead_from_one_models_order_into_the_others(tried, client):
    client.follower.poll()
    first = client(HOME).json
    following = f"{HOME}&cursor={first['next_cursor']}"
    assert client(following).status_code == 200
    tried()
    client.follower.poll()
    assert client(following).status_code == 410


def test_while_the_store_fails_the_list_that_was_seen_stands_in(tried, client, world, monkeypatch):
    tried()
    assert asked(client)[3] == "challenger"

    def away(user_id, variant=0):
        raise StoreUnavailable("the store is away")

    monkeypatch.setattr(world.store, "ring", away)
    answer = client(HOME).json
    assert (answer["source"], answer["model_version"], answer["variant"]) == ("cached", "v2", "challenger")


def test_a_broken_artefact_of_the_challenger_costs_its_lists_and_nothing_else(tried, world):
    tried()
    made = world.store.read_control().generation().challenger
    (world.settings.artefacts_path / made.artefact_id / "vectors.npy").unlink()
    follower = Follower(world.store, world.settings.artefacts_path, 60, Metrics())
    follower.poll()
    assert (follower.snapshot.generation.number, follower.snapshot.challenger) == (2, None)
    assert "vectors.npy" in follower.problem
