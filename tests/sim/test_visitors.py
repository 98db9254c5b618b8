"""Simulated users before a service that remembers what it was asked and told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from sim.client import Page
from sim.visitors import HOME, Visitors
from sim.world import World, imagine

END = datetime(2025, 6, 2, tzinfo=UTC)
START_MS = int(END.timestamp() * 1000)
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def world() -> World:
    return imagine(users=300, items=80, days=5, seed=4, end=END, ahead=2)


class Service:
    """Shows everybody the same items, and keeps the time at which each request came."""

    def __init__(self, item_ids: Sequence[str]) -> None:
        self.item_ids = list(item_ids)
        self.now = 0
        self.requests: list[tuple[int, str, str, list[dict[str, Any]]]] = []

    def set_clock(self, time: int) -> None:
        self.now = time

    def home(self, user_id: str) -> Page:
        self.requests.append((self.now, "home", user_id, []))
        return Page(f"req_{len(self.requests)}", "v1", "popular", self.item_ids)

    def tell(self, user_id: str, events: Sequence[dict[str, Any]]) -> None:
        self.requests.append((self.now, "tell", user_id, list(events)))

    def told(self, event_type: str) -> list[dict[str, Any]]:
        return [event for *_, events in self.requests for event in events if event["event_type"] == event_type]


def visited(world: World, item_ids: Sequence[str], *until: float) -> tuple[Service, Visitors]:
    """until: days after the record's end; the visitors are played up to each of them in turn."""
    service = Service(item_ids)
    visitors = Visitors(world, 2, service.set_clock)
    for days in until:
        visitors.play(service, START_MS + int(days * DAY_MS))
    return service, visitors


@pytest.fixture(scope="module")
def items(world: World) -> list[str]:
    ids: list[str] = world.catalogue.table["item_id"].to_pylist()
    return ids[:20]


def test_days_in_one_go_or_in_pieces_are_the_same(world: World, items: list[str]) -> None:
    whole, _ = visited(world, items, 2)
    pieces, _ = visited(world, items, 0.3, 1, 1, 2)
    assert whole.requests == pieces.requests
    assert len(whole.requests) > 300


def test_time_never_goes_back_and_ends_where_it_was_told_to(world: World, items: list[str]) -> None:
    service, visitors = visited(world, items, 1)
    times = [time for time, *_ in service.requests]
    assert times == sorted(times)
    assert START_MS <= times[0] < times[-1] < START_MS + DAY_MS
    for time, _, _, events in service.requests:
        assert all(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000 <= time + 1 for event in events)
    later = visitors.outcome().begin >= START_MS + DAY_MS
    assert later.any()
    assert visitors.outcome().impressions[later].sum() == 0


def test_what_was_told_is_what_the_outcome_counts(world: World, items: list[str]) -> None:
    service, visitors = visited(world, items, 2)
    outcome = visitors.outcome()
    assert outcome.impressions.sum() == len(service.told("impression"))
    assert outcome.clicks.sum() == len(service.told("click"))
    assert outcome.seconds.sum() == sum(event["watch_duration_sec"] for event in service.told("watch"))
    assert visitors.told == sum(len(events) for *_, events in service.requests)
    assert set(outcome.source) == {"popular"}


def test_events_say_where_and_of_which_page_they_are(world: World, items: list[str]) -> None:
    service, _ = visited(world, items, 2)
    for event in service.told("impression") + service.told("click"):
        context = event["context"]
        assert items[context["position"]] == event["item_id"]
        assert context["recommendation_id"].startswith("req_")
        assert context["page"] == "home"
    clicked = {(event["context"]["recommendation_id"], event["item_id"]) for event in service.told("click")}
    watched = {(event["context"]["recommendation_id"], event["item_id"]) for event in service.told("watch")}
    assert watched < clicked


def test_what_stands_first_is_clicked_more(world: World, items: list[str]) -> None:
    nine = items[:9]
    pages = [visited(world, order, 2)[0].told("click") for order in (nine, nine[::-1])]
    clicks = np.bincount([event["context"]["position"] for page in pages for event in page], minlength=9)
    assert clicks[:3].sum() > 2 * clicks[6:].sum()


def test_a_title_that_suits_is_clicked_more_by_the_same_visitors(world: World) -> None:
    """Quality is hidden from the service, and tells."""
    order = np.argsort(-world.catalogue.quality)
    ids = np.array(world.catalogue.table["item_id"].to_pylist())
    best, worst = (visited(world, ids[numbers], 2)[1].outcome() for numbers in (order[:20], order[-20:]))
    assert (best.user == worst.user).all()
    assert (best.impressions == worst.impressions).all()
    assert best.clicks.sum() > 1.3 * worst.clicks.sum()


def test_who_had_clicked_a_title_before_seldom_watches_it(world: World, items: list[str]) -> None:
    service, visitors = visited(world, items[:3], 2)
    outcome = visitors.outcome()
    assert 0 < outcome.first_clicks.sum() < 0.9 * outcome.clicks.sum()
    watched = [
        (user_id, event["item_id"])
        for _, _, user_id, events in service.requests
        for event in events
        if event["event_type"] == "watch"
    ]
    assert len(service.told("click")) > 1.3 * len(watched)
    assert len(watched) < 1.2 * len(set(watched))


def test_visits_are_to_the_home_page_by_people_who_have_joined(world: World) -> None:
    visitors = Visitors(world, 2, lambda time: None)
    sessions = visitors.sessions
    assert (sessions.page == HOME).all()
    assert (sessions.begin >= world.audience.joined[sessions.user]).all()
    newcomers = world.audience.joined[sessions.user] >= START_MS
    assert newcomers.any()
