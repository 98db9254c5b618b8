from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from serving.follower import Follower
from serving.metrics import Metrics
from stores.base import StoreUnavailable
from stores.embedded import EmbeddedStore

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
HOME = "/api/v1/recommendations"


@pytest.mark.parametrize(
    ("method", "path", "status", "named"),
    [
        ("GET", f"{HOME}?limit=0", 400, "limit"),
        ("GET", f"{HOME}?limit=101", 400, "limit"),
        ("GET", f"{HOME}?limit=-1", 400, "limit"),
        ("GET", f"{HOME}?limit=1.5", 400, "limit"),
        ("GET", f"{HOME}?limit=²", 400, "limit"),
        ("GET", f"{HOME}?limit=", 400, "limit"),
        ("GET", f"{HOME}?limit={'9' * 400}", 400, "limit"),
        ("GET", f"{HOME}?context=search&q=x", 400, "home, similar"),
        ("GET", f"{HOME}?context=similar", 400, "item_id"),
        ("GET", f"{HOME}?context=similar&item_id=x", 404, "'x'"),
        ("GET", "/api/v1/items/x/similar", 404, "'x'"),
        ("GET", "/api/v1/nothing", 404, ""),
        ("POST", HOME, 405, ""),
        ("GET", "/api/v1/events", 405, ""),
    ],
)
def test_every_error_is_a_problem_document(client, method, path, status, named):
    answer = client(path, method=method)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert set(answer.json) == {"type", "title", "status", "detail"}
    assert answer.json["status"] == status
    assert named in answer.json["detail"]
    assert status != 405 or answer.headers["Allow"]


def test_a_fault_of_ours_is_a_problem_document_that_gives_nothing_away(world, make_client):
    answer = make_client(rules=None)(HOME)
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "NoneType" not in answer.text


def test_before_the_first_publication_the_service_is_up_and_not_ready(world, make_client, tmp_path):
    empty = EmbeddedStore(tmp_path / "empty", map_size_gb=1)
    follower = Follower(empty, tmp_path / "none", 60, Metrics())
    follower.poll()
    client = make_client(follower=follower)
    assert client("/healthz", user=None).status_code == 200
    for path in ("/readyz", HOME):
        answer = client(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert "nothing has been published" in answer.json["detail"]


def test_a_worker_that_starts_with_the_store_down_serves_the_last_known_generation_and_heals(world, make_client):
    make_client()  # a first worker leaves the last control record beside the artefacts

    class Down(EmbeddedStore):
        down = True

        def read_control(self):
            if self.down:
                raise StoreUnavailable("the store is down")
            return super().read_control()

        def ring(self, user_id, variant=0):
            if self.down:
                raise StoreUnavailable("the store is down")
            return super().ring(user_id, variant)

    store = Down(world.settings.store_path, world.settings.store.map_size_gb)
    client = make_client(store=store)
    assert client(HOME).json["source"] == "popular"
    assert client("/readyz").json == {"status": "degraded", "generation": 1, "problem": "the store is down"}
    store.down = False
    client.follower.poll()
    assert client(HOME).json["source"] == "personalized"
    assert client("/readyz").json == {"status": "ready", "generation": 1}


def test_rolling_back_serves_the_earlier_generation_at_once(world, client, make_body):
    world.publish({"ann": make_body([7])}, position=1)
    client.follower.poll()
    held = world.store.read_control()
    world.store.swap_control(held, replace(held, version=held.version + 1, current=1, bad=(2,)))
    client.follower.poll()
    assert client(f"{HOME}?limit=1").json["generation"] == 1
    assert client.items(f"{HOME}?limit=1") == ["m5"]


def test_metrics_are_counted_by_route_and_not_by_address(client):
    client("/api/v1/items/m0/similar")
    client("/api/v1/items/m1/similar")
    client("/no/such/page")
    assert client.count("topshelf_requests", route="/api/v1/items/<path:item_id>/similar", status="200") == 2
    assert client.count("topshelf_requests", route="none", status="404") == 1
    assert "topshelf_generation 1.0" in client("/metrics", user=None).text


def test_ids_with_slashes_and_spaces_are_found(world, make_client):
    ids = [f"a/b {number}" for number in range(12)]
    world.publish({}, item_ids=ids)
    assert make_client()("/api/v1/items/a%2Fb%200/similar").status_code == 200


def test_every_route_is_documented(client):
    documented = set(re.findall(r"^## `(\w+) (\S+)`", DOCS.read_text(), flags=re.MULTILINE))
    routes = {
        (method, re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule))
        for rule in client.app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert documented == routes


def test_every_metric_is_documented(client):
    names = set(re.findall(r"^# TYPE (\w+)", client.metrics.exposition().decode(), flags=re.MULTILINE))
    names = {name for name in names if not name.endswith("_created")}
    assert set(re.findall(r"^\| `(topshelf_\w+)`", DOCS.read_text(), flags=re.MULTILINE)) == names
