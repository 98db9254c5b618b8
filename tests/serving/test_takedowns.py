"""An item that is taken down is gone from every path and every tier. The walk knows every route that gives items."""

from __future__ import annotations

import numpy as np
import pytest

from stores.base import StoreUnavailable
from stores.takedowns import put_back, take_down

HOME = "/api/v1/recommendations"
ROUTES = {
    HOME: [HOME, f"{HOME}?limit=3", f"{HOME}?context=similar&item_id=m0", f"{HOME}?context=search&q=Film"],
    "/api/v1/home": ["/api/v1/home"],
    "/api/v1/users/<path:user_id>/recommendations": ["/api/v1/users/{user}/recommendations"],
    "/api/v1/items/<path:item_id>/similar": ["/api/v1/items/m0/similar"],
}
"""Of each route that gives items, addresses whose answers hold m4 before it is taken down (a short page may not)."""


class Failing:
    """A store whose look-ups fail from some moment on."""

    def __init__(self, store):
        self.store, self.away = store, False

    def read_control(self):
        return self.store.read_control()

    def ring(self, user_id, variant=0):
        if self.away:
            raise StoreUnavailable("gone")
        return self.store.ring(user_id, variant)


def personalized(world, make_client, make_body):
    return make_client()


def cached(world, make_client, make_body):
    store = Failing(world.store)
    client = make_client(store=store)
    client.items(HOME)
    store.away = True
    return client


def segment(world, make_client, make_body):
    world.publish({"ann": make_body([8, 11])})
    return make_client()


def popular(world, make_client, make_body):
    world.store.delete("ann")
    return make_client()


def the_static_list(world, make_client, make_body):
    world.store.delete("ann")
    world.publish({}, popular={"global": np.array([11], dtype=np.int32)})
    return make_client()


def item_ids(found):
    """Every item_id anywhere in an answer."""
    if isinstance(found, dict):
        own = [found["item_id"]] if "item_id" in found else []
        return own + [one for value in found.values() for one in item_ids(value)]
    return [one for value in found for one in item_ids(value)] if isinstance(found, list) else []


def walk(client):
    """The items of each address that this version has."""
    rules = {rule.rule for rule in client.app.url_map.iter_rules() if "GET" in rule.methods}
    found = {}
    for route in sorted(rules & ROUTES.keys()):
        for path in ROUTES[route]:
            scope = "service" if "{user}" in path else "user"
            answer = client(path.format(user="ann"), scope=scope)
            if not (answer.status_code == 400 and "context=search" in path):
                assert answer.status_code == 200, answer.text
                found[path] = item_ids(answer.json)
    return found


@pytest.mark.parametrize("tier", [personalized, cached, segment, popular, the_static_list])
def test_an_item_taken_down_is_in_no_answer_of_any_tier(world, make_client, make_body, tier):
    client = tier(world, make_client, make_body)
    source = "popular" if tier is the_static_list else tier.__name__
    assert client(HOME).json["source"] == source
    before = walk(client)
    assert {path for path, items in before.items() if "m4" in items} >= before.keys() - {f"{HOME}?limit=3"}

    take_down(world.store, ["m4", "m5", "not in this catalogue"])
    client.follower.poll()
    down = walk(client)
    assert not any({"m4", "m5"} & set(items) for items in down.values())
    assert all(down.values())
    assert client(HOME).json["source"] == source

    put_back(world.store, ["m4", "m5"])
    client.follower.poll()
    assert walk(client) == before


def test_an_item_may_be_taken_down_before_any_catalogue_has_it(world, client):
    take_down(world.store, ["premiere"])
    ids = [f"m{number}" for number in range(11)] + ["premiere"]
    world.publish({}, item_ids=ids, active=np.ones(12, dtype=bool))
    client.follower.poll()
    assert client(HOME, user="stranger").json["generation"] == 2
    assert not any("premiere" in items for items in walk(client).values())
    assert len(client.items(HOME, user="stranger")) == 8


def test_the_walk_knows_every_route_that_reads(client):
    rules = [rule for rule in client.app.url_map.iter_rules() if "GET" in rule.methods]
    assert {rule.rule for rule in rules if rule.rule.startswith("/api/v1/")} <= ROUTES.keys()
