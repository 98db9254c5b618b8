"""The service over what the pipeline made: every context, an event, a takedown; asked as an app asks it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from conf.loading import load
from conf.rules import load_rules
from serving.auth import make_token
from serving.local import serve_once
from serving.request import assigned
from serving.secrets import token_secret
from stores.base import CHAMPION
from stores.opening import open_store
from stores.takedowns import put_back, take_down
from tests.e2e.commands import Topshelf

pytestmark = pytest.mark.timeout(900)
FOLLOWED_SECONDS = 2.0
ASKED = 8
"""Times that a page is asked for on new connections, so that both workers give it."""


@dataclass(frozen=True)
class App:
    """A client of the service. Its users are none of those that other tests of this world look at."""

    home: Path
    url: str
    users: tuple[str, ...]

    def send(self, path: str, user: str, body: object = None, scope: str = "user", **query: object) -> Any:
        settings = load({"TOPSHELF_HOME": str(self.home)}).settings
        token = make_token(user, token_secret(settings), datetime.now(UTC), 1, scope)
        data = None if body is None else json.dumps(body).encode()
        address = f"{self.url}/api/v1/{path}?{urlencode(query)}"
        with urlopen(Request(address, data, {"Authorization": f"Bearer {token}"})) as response:
            return json.load(response)

    def page(self, user: str, **query: object) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.send("recommendations", user, **query)["recommendations"]
        return items

    def event(self, user: str, event_type: str, item_id: str, **more: object) -> Any:
        happened = {"event_type": event_type, "item_id": item_id, "timestamp": datetime.now(UTC).isoformat()}
        return self.send("events", user, {**happened, **more})


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["item_id"] for item in items]


@pytest.fixture(scope="module")
def app(topshelf: Topshelf, home: Path, first_run: str) -> Iterator[App]:
    query = "SELECT user_id FROM user_features JOIN lists USING (user_id) ORDER BY watches DESC, user_id OFFSET 20"
    rules = load_rules()
    users = [row["user_id"] for row in json.loads(topshelf("sql", query, "--json"))]
    personal = [user for user in users if assigned(user, rules.baseline) == CHAMPION]
    with serve_once(load({"TOPSHELF_HOME": str(home)}).settings, rules) as url:
        yield App(home, url, tuple(personal[:4]))


def test_pages_of_one_order_repeat_nothing(app: App) -> None:
    first = app.send("recommendations", app.users[0], limit=20)
    second = app.send("recommendations", app.users[0], limit=20, cursor=first["next_cursor"])
    pages = ids(first["recommendations"]) + ids(second["recommendations"])
    assert first["source"] == "personalized"
    assert (len(pages), len(set(pages))) == (40, 40)


def test_shelves_have_titles_and_repeat_nothing(app: App) -> None:
    shelves = app.send("home", app.users[0], limit=5)["shelves"]
    titles = [shelf["title"] for shelf in shelves]
    assert {"Picked for you", "Trending now", "New releases"} <= set(titles)
    assert any(title.startswith("Because you watched ") for title in titles)
    assert any(title.startswith("Top in ") for title in titles)
    items = [item for shelf in shelves for item in ids(shelf["recommendations"])]
    assert len(items) == len(set(items))


def test_a_title_with_a_typo_is_found_in_the_real_catalogue(app: App) -> None:
    user = app.users[0]
    for film in app.page(user, limit=5):
        word = max(film["title"].split(), key=len)
        typo = film["title"].replace(word, word[:2] + word[3:])
        answer = app.send("recommendations", user, context="search", q=typo)
        assert answer["source"] == "search"
        assert film["item_id"] in ids(answer["recommendations"]), (film["title"], typo)


def test_what_is_similar_is_something_else(app: App) -> None:
    film = app.page(app.users[0], limit=1)[0]["item_id"]
    similar = app.send(f"items/{film}/similar", app.users[0], limit=10)["similar_items"]
    assert len(similar) == 10
    assert film not in ids(similar)
    scores = [item["similarity_score"] for item in similar]
    assert scores == sorted(scores, reverse=True)


def test_a_batch_look_up_answers_for_each_user(app: App) -> None:
    body = {"user_ids": [*app.users, "nobody"], "limit": 5}
    users = app.send("users/recommendations", "backend", body, "service")["users"]
    assert [entry["user_id"] for entry in users] == body["user_ids"]
    assert [entry["answer"]["source"] for entry in users] == [*["personalized"] * len(app.users), "popular"]
    assert {len(entry["answer"]["recommendations"]) for entry in users} == {5}


def test_what_was_just_watched_is_gone_from_the_next_answer_of_every_worker(app: App) -> None:
    user = app.users[1]
    film = app.page(user)[0]["item_id"]
    taken = app.event(user, "watch", film, watch_duration_sec=5000)
    assert taken["reflected"] is True
    for _ in range(ASKED):
        assert film not in ids(app.page(user, limit=50))
    shelves = app.send("home", user, limit=5)["shelves"]
    assert film not in [item for shelf in shelves for item in ids(shelf["recommendations"])]


def test_a_user_without_a_list_has_one_after_one_event(app: App) -> None:
    popular = app.send("recommendations", "a-new-user")
    film = ids(popular["recommendations"])[0]
    app.event("a-new-user", "click", film)
    answer = app.send("recommendations", "a-new-user")
    assert (popular["source"], answer["source"]) == ("popular", "session")


def test_what_is_taken_down_is_gone_within_two_seconds(app: App) -> None:
    user = app.users[2]
    film = app.page(user)[0]
    settings = load({"TOPSHELF_HOME": str(app.home)}).settings
    with open_store(settings) as store:
        take_down(store, [film["item_id"]])
        until = time.monotonic() + FOLLOWED_SECONDS
        while time.monotonic() < until:
            time.sleep(0.05)
        found = [app.page(user, limit=50) for _ in range(ASKED)]
        searched = app.page(user, context="search", q=film["title"])
        put_back(store, [film["item_id"]])
    assert [len(page) for page in found] == [50] * ASKED
    assert [page for page in (*found, searched) if film["item_id"] in ids(page)] == []
