from __future__ import annotations

import json

import pytest

from stores.base import StoreUnavailable
from stores.eventlog.embedded import read, sealed_and_open_segments

HOME = "/api/v1/recommendations"
EVENTS = "/api/v1/events"
WATCH = {"event_type": "watch", "item_id": "m5", "timestamp": "2026-11-23T13:29:00Z"}


def logged(world):
    return [event for segment in sealed_and_open_segments(world.settings.eventlog_path) for event in read(segment)[0]]


def send(client, **changes):
    event = {key: value for key, value in {**WATCH, **changes}.items() if value is not ...}
    return client(EVENTS, method="POST", json=event)


@pytest.mark.parametrize("kind", ["watch", "rate", "not_interested"])
def test_what_was_watched_rated_or_refused_is_gone_from_the_next_answer(client, kind):
    assert client.items(HOME)[0] == "m5"
    answer = send(client, event_type=kind, rating=4.0 if kind == "rate" else ...)
    assert (answer.status_code, answer.json["reflected"]) == (202, True)
    assert "m5" not in client.items(HOME)
    assert "m5" in client.items(HOME, user="kid")
    assert "m5" not in client.items(f"{HOME}?context=similar&item_id=m0")


def test_a_click_hides_nothing(client):
    assert send(client, event_type="click").status_code == 202
    assert client.items(HOME)[0] == "m5"


def test_the_log_has_the_event_as_the_events_table_wants_it(world, client):
    context = {"page": "home", "position": 3, "recommendation_id": "req_1"}
    answer = send(client, timestamp="2026-11-23T14:29:00+01:00", completed=True, context=context)
    (event,) = logged(world)
    assert event == {
        "event_id": answer.json["event_id"],
        "user_id": "ann",
        "item_id": "m5",
        "event_type": "watch",
        "timestamp": "2026-11-23T13:29:00.000000+00:00",
        "watch_duration_sec": None,
        "completed": True,
        "rating": None,
        "context": {**context, "device": None, "model_version": None},
        "logged_at": event["logged_at"],
    }


def test_the_same_event_has_the_same_id_and_a_given_one_is_kept(client):
    first, again = send(client), send(client, timestamp="2026-11-23T14:29:00+01:00")
    assert first.json["event_id"] == again.json["event_id"]
    assert send(client, item_id="m4").json["event_id"] != first.json["event_id"]
    mine = send(client, event_id="mine").json["event_id"]
    assert send(client, event_id="mine", item_id="m4").json["event_id"] == mine
    assert mine not in ("mine", first.json["event_id"])


@pytest.mark.parametrize(
    ("changes", "status", "named"),
    [
        ({"event_type": "stare"}, 400, "event_type"),
        ({"event_type": ...}, 400, "event_type"),
        ({"item_id": ...}, 400, "item_id"),
        ({"item_id": "nothing"}, 404, "nothing"),
        ({"timestamp": ...}, 400, "timestamp"),
        ({"timestamp": "yesterday"}, 400, "timestamp"),
        ({"timestamp": "2026-11-23T13:29:00"}, 400, "time zone"),
        ({"timestamp": "2026-11-23T13:41:00Z"}, 400, "future"),
        ({"timestamp": "2026-10-23T13:29:00Z"}, 400, "past"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, 400, "timestamp"),
        ({"timestamp": 1795440000}, 400, "timestamp"),
        ({"event_type": "rate"}, 400, "rating"),
        ({"rating": 6}, 400, "rating"),
        ({"watch_duration_sec": -1}, 400, "watch_duration_sec"),
        ({"context": {"position": "third"}}, 400, "context.position"),
        ({"user_id": "bob"}, 400, "user_id"),
    ],
)
def test_an_event_that_is_wrong_is_refused_by_name_and_not_logged(world, client, changes, status, named):
    answer = send(client, **changes)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert named in answer.json["detail"]
    assert logged(world) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"watch"', b"\xff\xfe", b"[" * 5000])
def test_a_body_that_is_no_event_is_refused(client, body):
    assert client(EVENTS, method="POST", data=body).status_code == 400


def test_a_body_that_is_too_large_is_refused(client):
    answer = client(EVENTS, method="POST", data=b" " * 70_000)
    assert (answer.status_code, answer.content_type) == (413, "application/problem+json")


def test_a_log_that_is_away_takes_nothing_and_asks_to_try_again(world, client):
    world.settings.eventlog_path.write_text("in the way")
    answer = send(client)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert client.items(HOME)[0] == "m5"


def test_a_session_store_that_is_away_is_told_of(world, make_client):
    class Away:
        def apply(self, user_id, event):
            raise StoreUnavailable("gone")

    client = make_client(sessions=Away())
    answer = send(client)
    assert (answer.status_code, answer.json["reflected"]) == (202, False)
    assert len(logged(world)) == 1
    assert client.count("topshelf_events_unreflected") == 1


def test_events_need_a_token(client):
    assert client(EVENTS, user=None, method="POST", data=json.dumps(WATCH)).status_code == 401
