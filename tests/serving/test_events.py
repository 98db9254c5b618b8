from __future__ import annotations

import json

import pytest

from stores.base import StoreTimeout, StoreUnavailable
from stores.eventlog.embedded import read, sealed_and_open_segments
from stores.opening import open_sessions
from stores.sessions.base import SessionEvent

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


def test_what_was_shown_pushes_nothing_out_of_a_session(world, client):
    assert send(client, event_type="click").json["reflected"]
    seen = [{**WATCH, "event_type": "impression", "timestamp": f"2026-11-23T13:29:30.{n:03}Z"} for n in range(101)]
    answer = client(EVENTS, method="POST", json={"events": seen})
    assert all(one["reflected"] for one in answer.json["events"])
    assert [event.event_type for event in open_sessions(world.settings).read("ann")] == ["click"]


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
        ({"user_id": "bob"}, 403, "user_id"),
        ({"user_id": 7}, 400, "user_id"),
        ({"user_id": "x" * 65}, 400, "user_id"),
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
    answer = client(EVENTS, method="POST", data=b" " * 600_000)
    assert (answer.status_code, answer.content_type) == (413, "application/problem+json")


def test_a_log_that_is_away_takes_nothing_and_asks_to_try_again(world, client):
    world.settings.eventlog_path.write_text("in the way")
    answer = send(client)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert client.items(HOME)[0] == "m5"


def test_a_session_store_that_is_away_is_told_of(world, make_client):
    class Away:
        def apply(self, user_id, events):
            raise StoreUnavailable("gone")

    client = make_client(sessions=Away())
    answer = send(client)
    assert (answer.status_code, answer.json["reflected"]) == (202, False)
    assert len(logged(world)) == 1
    assert client.count("topshelf_events_unreflected") == 1


def test_a_session_store_that_goes_on_failing_is_not_asked_for_a_moment(world, make_client):
    asked, now = [], [100.0]

    class Failing:
        def apply(self, user_id, events):
            asked.append(user_id)
            raise StoreUnavailable("away")

    client = make_client(sessions=Failing(), ticks=lambda: now[0])
    failures = world.settings.serving.breaker_failures
    answers = [send(client, user_id="ann", event_id=str(number)) for number in range(failures + 3)]
    assert {(answer.status_code, answer.json["reflected"]) for answer in answers} == {(202, False)}
    assert asked == ["ann"] * failures
    assert client.count("topshelf_events_unreflected") == len(answers) == len(logged(world))
    now[0] += world.settings.serving.breaker_seconds
    send(client)
    assert len(asked) == failures + 1


def test_events_need_a_token(client):
    assert client(EVENTS, user=None, method="POST", data=json.dumps(WATCH)).status_code == 401


def batch(client, *changes, **kwargs):
    return client(EVENTS, method="POST", json={"events": [{**WATCH, **change} for change in changes]}, **kwargs)


def test_a_batch_is_one_append_and_answers_for_each_event(world, client, monkeypatch):
    syncs = []
    monkeypatch.setattr("os.fdatasync", syncs.append)
    answer = batch(client, {}, {"item_id": "m4", "event_type": "click"}, {"event_id": "mine"})
    assert answer.status_code == 202
    assert [event["reflected"] for event in answer.json["events"]] == [True] * 3
    assert [event["event_id"] for event in answer.json["events"]] == [event["event_id"] for event in logged(world)]
    assert answer.json["events"][0]["event_id"] == send(client).json["event_id"]
    assert len(syncs) == 2
    assert "m5" not in client.items(HOME)


@pytest.mark.parametrize(
    ("changes", "status", "named"),
    [
        ({"item_id": 5}, 400, "events.1.item_id"),
        ({"item_id": "nothing"}, 400, "events.1.item_id: there is no item 'nothing'"),
        ({"timestamp": "2026-11-23T13:41:00Z"}, 400, "events.1.timestamp lies"),
        ({"context": {"position": -1}}, 400, "events.1.context.position"),
        ({"event_type": "rate"}, 400, "events.1: "),
        ({"user_id": "bob"}, 403, "events.1.user_id"),
    ],
)
def test_one_wrong_event_of_a_batch_is_named_and_nothing_is_kept(world, client, changes, status, named):
    answer = batch(client, {}, changes, {})
    assert answer.status_code == status
    assert named in answer.json["detail"]
    assert logged(world) == []
    assert client.items(HOME)[0] == "m5"


def test_a_batch_has_one_to_five_hundred_events(world, client):
    assert batch(client).status_code == 400
    assert batch(client, *[{}] * 501).status_code == 400
    assert logged(world) == []
    assert batch(client, *[{}] * 500).status_code == 202
    assert len(logged(world)) == 500


def test_an_event_may_say_events_itself(client):
    assert send(client, context={"page": "events"}).status_code == 202


def test_a_service_says_whose_events_they_are(world, client):
    answer = batch(client, {"user_id": "ann"}, {"user_id": "kid", "item_id": "m3"}, user="billing", scope="service")
    assert answer.status_code == 202
    assert [event["user_id"] for event in logged(world)] == ["ann", "kid"]
    assert "m5" not in client.items(HOME)
    assert "m3" in client.items(HOME)
    assert "m3" not in client.items(HOME, user="kid")
    assert answer.json["events"][0]["event_id"] == send(client, user_id="ann").json["event_id"]
    nobodys = batch(client, {"user_id": "ann"}, {}, user="billing", scope="service")
    assert (nobodys.status_code, "events.1.user_id" in nobodys.json["detail"]) == (400, True)


def test_one_user_whose_session_fails_ends_the_waiting(world, make_client):
    asked = []

    class Slow:
        def apply(self, user_id, events):
            asked.append(user_id)
            if user_id != "ann":
                raise StoreTimeout("late")
            return len(events)

    client = make_client(sessions=Slow())
    events = [{"user_id": user} for user in ("ann", "bob", "cat", "ann")]
    answer = batch(client, *events, user="billing", scope="service")
    assert [event["reflected"] for event in answer.json["events"]] == [True, False, False, True]
    assert asked == ["ann", "bob"]
    assert client.count("topshelf_events_unreflected") == 2
    assert len(logged(world)) == 4


def test_a_long_session_forgets_what_every_list_of_the_ring_knows(world, client, make_body):
    mine, sessions = make_body([3, 4, 5]), open_sessions(world.settings)
    sessions.apply("ann", [SessionEvent(number, "watch", 1.0, logged_at=100.0) for number in range(100, 400)])

    def held_after(**event):
        client.follower.poll()
        assert send(client, **event).json["reflected"] is True
        return len(sessions.read("ann"))

    assert held_after() == 301, "the row was made before any of it"
    world.publish({"ann": mine}, position=1, watermark=200)
    world.publish({"ann": mine}, position=2, watermark=200)
    assert held_after(item_id="m4") == 302, "a rollback would show the row that was made before any of it"
    world.publish({"ann": mine}, position=0, watermark=200)
    assert held_after(item_id="m3") == 3
    assert {event.item_no for event in sessions.read("ann")} == {3, 4, 5}


def test_a_trim_that_fails_is_counted_and_the_event_is_reflected(world, make_client):
    class NoRing:
        def __getattr__(self, name):
            return getattr(world.store, name)

        def ring(self, user_id, variant=0):
            raise StoreTimeout("late")

    open_sessions(world.settings).apply("ann", [SessionEvent(number, "watch", 1.0) for number in range(100, 400)])
    client = make_client(store=NoRing())
    assert send(client).json["reflected"] is True
    assert client.count("topshelf_lookups", what="retention", outcome="late") == 1
