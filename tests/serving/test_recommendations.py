from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stores.base import StoreTimeout, StoreUnavailable
from stores.embedded import EmbeddedStore

FORBIDDEN_TO_STRANGERS = {"m8", "m9", "m10", "m11"}
HOME = "/api/v1/recommendations"


class BrokenStore(EmbeddedStore):
    """Its control record can be read, its rows cannot."""

    def __init__(self, world, error):
        super().__init__(world.settings.store_path, world.settings.store.map_size_gb)
        self.error = error

    def ring(self, user_id, variant=0):
        raise self.error


def test_the_answer_has_exactly_the_promised_shape(client):
    answer = client(f"{HOME}?limit=1").json
    assert answer == {
        "recommendations": [
            {
                "item_id": "m5",
                "title": "Film 5",
                "score": 0.8808,
                "reason": "Trending now",
                "thumbnail": None,
                "metadata": {"genre": ["Comedy"], "year": 2000, "rating": "PG"},
            }
        ],
        "request_id": answer["request_id"],
        "model_version": "v1",
        "generation": 1,
        "generated_at": "2026-11-23T13:30:00+00:00",
        "source": "personalized",
        "assigned": "champion",
        "variant": "champion",
        "next_cursor": answer["next_cursor"],
    }
    assert answer["request_id"].startswith("req_")
    assert client(f"{HOME}?limit=1").json["request_id"] != answer["request_id"]


def test_a_list_is_filtered_by_its_owners_profile_and_lifted_by_the_context(client):
    # On the page home, m5 gains 3 in log-odds. An adult in the US may see m9 and m10.
    assert client.items(f"{HOME}?limit=5") == ["m5", "m10", "m9", "m3", "m4"]
    assert client.items(f"{HOME}?limit=3", user="kid") == ["m5", "m3", "m4"]


def test_a_short_list_is_filled_up_and_scores_never_rise_past_its_own(client):
    answer = client(HOME, user="kid").json
    assert [item["item_id"] for item in answer["recommendations"]] == [
        "m5", "m3", "m4", "m0", "m1", "m2", "m6", "m7"
    ]  # fmt: skip
    assert answer["source"] == "personalized"
    scores = [item["score"] for item in answer["recommendations"]]
    assert scores == sorted(scores, reverse=True)
    assert answer["recommendations"][3]["reason"] == "Popular now"


def test_reasons_come_from_the_source_and_its_anchor(client):
    reasons = {item["item_id"]: item["reason"] for item in client(HOME).json["recommendations"]}
    assert reasons["m3"] == "Because you watched Film 0"
    assert reasons["m4"] == "Because you like Sci-Fi"
    assert reasons["m5"] == "Trending now"
    assert reasons["m9"] == "Picked for you"
    assert reasons["m7"] == "Popular with people like you"


def test_a_title_the_viewer_may_not_see_is_not_a_reason(world, make_client, make_body):
    world.publish({"kid": make_body([3], maturity_limit=0, anchors=(10,), source=[1], anchor=[0])})
    first = make_client()(f"{HOME}?limit=1", user="kid").json["recommendations"][0]
    assert first["reason"] == "Picked for you"


def test_what_was_watched_last_does_not_come_back_as_filling(client):
    assert "m0" not in client.items(HOME)


def test_a_page_keeps_the_genre_limit(world, make_client, make_body):
    # m0, m3, m6 and m9 are dramas; m1 is not.
    world.publish({"ann": make_body([0, 3, 6, 9, 1], anchors=())})
    assert make_client().items(f"{HOME}?limit=4") == ["m0", "m3", "m6", "m1"]


def test_a_stranger_gets_what_is_popular_under_the_strictest_profile(client):
    answer = client(HOME, user="stranger").json
    assert answer["source"] == "popular"
    assert [item["item_id"] for item in answer["recommendations"]] == [f"m{number}" for number in range(8)]
    assert client.count("topshelf_lookups", what="list", outcome="absent") == 1


def test_a_known_user_whose_list_is_used_up_gets_their_segment(world, make_client, make_body):
    world.publish({"ann": make_body([8, 11])})
    answer = make_client()(f"{HOME}?limit=2").json
    assert answer["source"] == "segment"
    assert [item["item_id"] for item in answer["recommendations"]] == ["m10", "m9"]
    assert answer["recommendations"][0]["reason"] == "Popular with people like you"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(StoreTimeout("slow"), "late"), (StoreUnavailable("gone"), "failed"), (RuntimeError("a bug"), "failed")],
)
def test_a_store_that_fails_gives_the_popular_list_and_is_counted(world, make_client, error, outcome):
    client = make_client(store=BrokenStore(world, error))
    answer = client(HOME)
    assert answer.status_code == 200
    assert answer.json["source"] == "popular"
    assert not FORBIDDEN_TO_STRANGERS & {item["item_id"] for item in answer.json["recommendations"]}
    assert client.count("topshelf_lookups", what="list", outcome=outcome) == 1


def test_a_session_store_that_fails_costs_no_answer(world, make_client):
    class BrokenSessions:
        def read(self, user_id):
            raise StoreTimeout("slow")

    client = make_client(sessions=BrokenSessions())
    assert client(HOME).json["source"] == "personalized"
    assert client.count("topshelf_lookups", what="session", outcome="late") == 1


def test_when_even_the_popular_list_is_used_up_the_catalogue_fills_the_page(world, make_client):
    world.publish({}, popular={"global": np.array([11], dtype=np.int32)})
    assert len(make_client().items(HOME, user="stranger")) == 8


def test_a_corrupt_row_gives_the_list_before_it(world, make_client, make_body):
    world.publish({"ann": make_body([7])}, position=1)
    whole = world.store.ring

    class Flipped:
        def read_control(self):
            return world.store.read_control()

        def ring(self, user_id, variant=0):
            found = whole(user_id).items()
            return {place: blob[:-1] + b"\xff" if len(blob) < 180 else blob for place, blob in found}

    client = make_client(store=Flipped())
    assert client.items(f"{HOME}?limit=1") == ["m5"]
    assert client.count("topshelf_corrupt_rows") == 1


def test_similar_items_need_no_list_and_keep_their_order(client):
    answer = client("/api/v1/items/m0/similar").json
    assert answer == {
        "similar_items": [
            {"item_id": "m10", "title": "Film 10", "similarity_score": 0.8},
            {"item_id": "m9", "title": "Film 9", "similarity_score": 0.7},
            {"item_id": "m4", "title": "Film 4", "similarity_score": 0.5},
            {"item_id": "m2", "title": "Film 2", "similarity_score": 0.4},
        ]
    }
    assert len(client("/api/v1/items/m0/similar?limit=2").json["similar_items"]) == 2


def test_similar_without_a_token_is_filtered_as_for_a_stranger(client):
    items = client("/api/v1/items/m0/similar", user=None).json["similar_items"]
    assert [item["item_id"] for item in items] == ["m4", "m2"]
    assert client("/api/v1/items/m0/similar", user=None, headers={"Authorization": "Bearer no"}).status_code == 401


def test_the_context_similar_is_filled_up_and_never_holds_the_item_itself(client):
    answer = client(f"{HOME}?context=similar&item_id=m0").json
    ids = [item["item_id"] for item in answer["recommendations"]]
    assert ids[:4] == ["m10", "m9", "m4", "m2"]
    assert "m0" not in ids
    assert len(ids) == len(set(ids)) == 9
    assert answer["recommendations"][0]["reason"] == "Similar to Film 0"
    assert answer["source"] == "similar"
    assert client(f"{HOME}?context=similar&item_id=m1").json["source"] == "segment"


def test_a_service_reads_any_users_recommendations_and_users_do_not(client):
    path = "/api/v1/users/kid/recommendations?limit=3"
    assert client.items(path, user="billing", scope="service") == ["m5", "m3", "m4"]
    refused = client(path, user="kid")
    assert (refused.status_code, refused.json["type"]) == (403, "/problems/forbidden")


def test_an_id_that_no_user_can_have_is_refused(client):
    for user in ("x" * 65, "%C3%BC" * 33):
        answer = client(f"/api/v1/users/{user}/recommendations", user="billing", scope="service")
        assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
        assert "1 to 64 bytes" in answer.json["detail"]
    assert client(f"/api/v1/users/{'x' * 64}/recommendations", user="billing", scope="service").status_code == 200


def test_a_new_generation_is_followed_and_a_broken_one_is_not(world, client, make_body):
    world.publish({"ann": make_body([7])}, position=1)
    client.follower.poll()
    assert client(f"{HOME}?limit=1").json["generation"] == 2
    assert client.items(f"{HOME}?limit=1") == ["m7"]

    world.publish({"ann": make_body([6])}, position=2, model_version="v2")
    artefact = world.store.read_control().generation().artefact_id
    (world.settings.artefacts_path / artefact / "active.npy").write_bytes(b"broken")
    client.follower.poll()
    assert client.items(f"{HOME}?limit=1") == ["m7"]
    degraded = client("/readyz", user=None)
    assert degraded.json["status"] == "degraded"
    assert "active.npy has changed" in degraded.json["problem"]
    assert "`topshelf run --republish` writes it anew" in degraded.json["problem"]


profiles = st.tuples(st.integers(0, 4), st.sampled_from(["US", "DE", None]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(
    profile=profiles,
    items=st.lists(st.integers(0, 13), unique=True, max_size=14),
    limit=st.integers(1, 100),
    path=st.sampled_from([HOME, f"{HOME}?context=similar&item_id=m0", "/api/v1/items/m0/similar"]),
    known=st.booleans(),
)
def test_no_tier_ever_shows_what_the_viewer_may_not_see(
    world, make_client, make_body, profile, items, limit, path, known
):
    maturity, region = profile if known else (0, None)
    world.publish({"ann": make_body(items, maturity_limit=maturity, region=region)}, position=world.generation % 3)
    joined = "&" if "?" in path else "?"
    answer = make_client()(f"{path}{joined}limit={limit}", user="ann" if known else "stranger")
    shown = next(value for key, value in answer.json.items() if key in ("recommendations", "similar_items"))
    ids = [item["item_id"] for item in shown]
    barred = {"m8", "m11"} | ({"m9"} if region != "US" else set()) | ({"m10"} if maturity < 4 else set())
    assert not barred & set(ids)
    assert len(ids) == len(set(ids)) <= limit


def test_titles_are_written_as_json_whatever_is_in_them(world, make_client):
    titles = [f'"\\ü\n{number}' for number in range(12)]
    world.publish({}, titles=titles)
    answer = make_client()("/api/v1/items/m0/similar")
    assert json.loads(answer.data)["similar_items"][0]["title"] == titles[10]
