"""Whoever was forgotten is a stranger to every path, and nothing of them is kept."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from stores.artefact import write_artefact
from stores.eventlog.embedded import read, sealed_and_open_segments
from stores.forgetting import bar
from stores.opening import open_eventlog, open_sessions, open_shown
from tests.serving.conftest import ANN, content
from tests.serving.test_events import EVENTS, HOME, WATCH, logged

KEY = "ab" * 32


@pytest.fixture
def forgotten(world, make_client):
    """A client of a service that has seen ann being forgotten; she watched m5 before."""
    client = make_client()
    assert client(EVENTS, method="POST", json=WATCH).status_code == 202
    bar(world.store, ["ann"], 1)
    client.follower.poll()
    return client


def test_the_ring_and_the_session_are_not_looked_at(forgotten):
    answer = forgotten(HOME)
    assert answer.json["source"] == "popular"
    assert forgotten.items(HOME) == forgotten.items(HOME, user="nobody")
    assert forgotten(HOME, user="kid").json["source"] == "personalized"
    service = {"user": "app", "scope": "service"}
    assert forgotten("/api/v1/users/ann/recommendations", **service).json["source"] == "popular"
    batch = forgotten(f"{HOME.replace('recommendations', 'users')}/recommendations", method="POST",
                      json={"user_ids": ["ann", "kid"]}, **service)  # fmt: skip
    assert [one["answer"]["source"] for one in batch.json["users"]] == ["popular", "personalized"]


def test_an_event_is_answered_and_not_kept(world, forgotten):
    before = logged(world)
    answer = forgotten(EVENTS, method="POST", json=WATCH)
    assert (answer.status_code, answer.json["kept"], answer.json["reflected"]) == (202, False, False)
    assert (logged(world), forgotten.count("topshelf_events_of_forgotten")) == (before, 1)
    two = [{**WATCH, "user_id": user} for user in ("ann", "kid")]
    answer = forgotten(EVENTS, user="app", scope="service", method="POST", json={"events": two})
    assert [one.get("kept", True) for one in answer.json["events"]] == [False, True]
    assert [event["user_id"] for event in logged(world)] == ["ann", "kid"]
    assert open_sessions(world.settings).read("kid")


def test_the_log_of_what_was_shown_does_not_name_them(world, make_client):
    with closing(open_shown(world.settings, "test", lambda pages: None)) as shown:
        client = make_client(shown=shown)
        client(HOME)
        bar(world.store, ["ann"], 1)
        client.follower.poll()
        client(HOME)
        client("/api/v1/home")
        client(HOME, user="kid")
    pages = [page for segment in sealed_and_open_segments(world.settings.shown_path) for page in read(segment)[0]]
    assert [page["user_id"] for page in pages] == ["ann", None, None, "kid"]


def test_logs_are_sealed_one_look_after_a_user_was_forgotten(world, make_client):
    with closing(open_eventlog(world.settings, "worker", lambda: 0.0)) as log:
        client = make_client(eventlog=log)
        client(EVENTS, method="POST", json=WATCH)
        bar(world.store, ["ann"], 1)
        client.follower.poll()
        assert [segment.sealed for segment in sealed_and_open_segments(world.settings.eventlog_path)] == [False]
        client.follower.poll()
        assert [segment.sealed for segment in sealed_and_open_segments(world.settings.eventlog_path)] == [True]
        client(EVENTS, user="kid", method="POST", json=WATCH)
        client.follower.poll()
        sealed = [segment.sealed for segment in sealed_and_open_segments(world.settings.eventlog_path)]
        assert sealed == [True, False]


def test_an_artefact_bars_those_whom_the_record_has_no_more(world, make_client):
    world.publish({"ann": ANN})
    barred = world.store.read_control().with_forgotten(["ann", "bob"], 1, KEY)
    world.store.swap_control(world.store.read_control(), barred)
    made = content(forgotten=barred.barrier.hashes, forgotten_upto=barred.barrier.moment)
    artefact_id = write_artefact(world.settings.artefacts_path, made)
    live = tuple(replace(one, artefact_id=artefact_id) for one in barred.live)
    pruned = replace(barred, version=barred.version + 1, live=live, barrier=barred.barrier.carried(2))
    world.store.swap_control(barred, pruned)
    assert not pruned.bars("ann")
    client = make_client()
    assert client(HOME).json["source"] == "popular"
    assert client(HOME, user="kid").json["source"] == "personalized"
