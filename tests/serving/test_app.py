from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from serving.follower import Follower
from serving.metrics import Metrics
from stores.base import StoreUnavailable
from stores.embedded import EmbeddedStore

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
HOME = "/api/v1/recommendations"
NOW = datetime(2026, 11, 23, 13, 30, tzinfo=UTC).timestamp()


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
        ("GET", f"{HOME}?context=search&q=x", 400, "search is not offered"),
        ("GET", f"{HOME}?context=nowhere", 400, "home, search, similar"),
        ("GET", f"{HOME}?context=search", 400, "q"),
        ("GET", f"{HOME}?context=search&q=%20", 400, "q"),
        ("GET", f"{HOME}?context=similar&item_id=", 400, "item_id"),
        ("GET", f"{HOME}?cursor=x", 400, "cursor"),
        ("GET", "/api/v1/home?limit=x", 400, "limit"),
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


def test_a_fault_of_ours_is_a_problem_document_that_gives_nothing_away(rules, make_client):
    answer = make_client(rules=rules.model_copy(update={"reasons": None}))(HOME)
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "NoneType" not in answer.text


def test_before_the_first_publication_the_service_is_up_and_not_ready(world, make_client, tmp_path):
    empty = EmbeddedStore(tmp_path / "empty", map_size_gb=1)
    follower = Follower(empty, tmp_path / "none", 60, Metrics())
    follower.poll()
    client = make_client(follower=follower)
    assert client("/healthz", user=None).status_code == 200
    for path, detail in (("/readyz", "nothing has been published"), (HOME, "nothing to serve yet")):
        answer = client(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert detail in answer.json["detail"]


def test_no_answer_says_where_the_files_of_the_service_are(world, make_client, tmp_path):
    artefacts = world.settings.artefacts_path
    artefacts.rename(artefacts.with_name("elsewhere"))
    client = make_client()
    assert str(tmp_path) in client.follower.problem
    ready, home = client("/readyz", user=None), client("/api/v1/items/m0/similar", user=None)
    assert (ready.status_code, home.status_code) == (503, 503)
    assert f"{artefacts.name}/" in ready.json["detail"]
    assert str(tmp_path) not in ready.text + home.text


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
    ids = [f"a//b {number}" for number in range(12)]
    world.publish({}, item_ids=ids)
    assert make_client()("/api/v1/items/a%2F%2Fb%200/similar").status_code == 200


def test_every_answer_has_security_headers_and_an_id_of_its_own(client):
    seen = set()
    for path in (HOME, "/api/v1/home", f"{HOME}?limit=x", "/no/such/page", "/healthz", "/metrics", "/docs"):
        answer = client(path, headers={"X-Request-Id": "req_of_the_client"})
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "'unsafe" not in answer.headers["Content-Security-Policy"]
        seen.add(answer.headers["X-Request-Id"])
    assert len(seen) == 7
    assert all(re.fullmatch("req_[0-9a-f]{16}", one) for one in seen)


def test_the_id_of_an_answer_is_in_its_head_as_well(client):
    for path in (HOME, "/api/v1/home", "/api/v1/users/ann/recommendations"):
        answer = client(path, scope="service")
        assert answer.json["request_id"] == answer.headers["X-Request-Id"]


def test_personal_answers_are_kept_by_no_cache(client):
    for path in (HOME, "/api/v1/home", "/api/v1/items/m0/similar", f"{HOME}?limit=x"):
        answer = client(path)
        assert (answer.headers["Cache-Control"], answer.headers.get("ETag")) == ("no-store", None)


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/api/v1/items/m0/similar"])
def test_what_is_the_same_for_everybody_is_sent_once(client, path):
    first = client(path, user=None)
    again = client(path, user=None, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    other = client(path, user=None, headers={"If-None-Match": '"something else"'})
    assert (other.status_code, other.data) == (200, first.data)
    assert first.headers["Cache-Control"] == "public, no-cache"


def test_similar_items_are_sent_anew_when_a_licence_ends_within_a_generation(world, make_client):
    until = np.full(12, np.inf)
    until[4] = NOW + 60
    world.publish({}, available_until=until)
    now, path = [NOW], "/api/v1/items/m0/similar"
    client = make_client(now=lambda: now[0])
    tag = client(path, user=None).headers["ETag"]
    assert tag.startswith('W/"2-')
    again = {"user": None, "headers": {"If-None-Match": tag}}
    assert client(path, **again).status_code == 304
    now[0] += 61
    answer = client(path, **again)
    assert answer.status_code == 200
    assert "m4" not in [one["item_id"] for one in answer.json["similar_items"]]
    assert answer.headers["Vary"] == "Authorization"


def test_head_is_get_without_the_body_and_options_tells_the_methods(client):
    for path in (HOME, "/api/v1/home", "/api/v1/items/m0/similar", "/healthz", "/docs"):
        answer = client(path, method="HEAD")
        assert (answer.status_code, answer.data) == (200, b"")
        assert int(answer.headers["Content-Length"]) > 0
        assert set(client(path, method="OPTIONS").headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert client("/api/v1/events", method="HEAD").status_code == 405
    assert client("/no/such/page", method="OPTIONS").status_code == 404
    assert client(HOME, method="HEAD", user=None).status_code == 401


def test_parameters_that_mean_nothing_here_are_ignored(client):
    assert client.items(f"{HOME}?q=x&item_id=y&color=red") == client.items(HOME)


def test_the_log_of_a_fault_has_the_id_and_not_the_token(world, rules, make_client, caplog):
    answer = make_client(rules=rules.model_copy(update={"reasons": None}))(HOME)
    assert f"request {answer.headers['X-Request-Id']} failed" in caplog.text
    assert world.token("ann") not in caplog.text


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
