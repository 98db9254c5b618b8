"""From a folder of data to an answer over HTTP, by the commands alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from conf.loading import load
from conf.rules import RULES_FILE, load_rules
from serving.auth import make_token
from serving.local import serve_once
from serving.secrets import token_secret
from tests.e2e.commands import Topshelf
from tests.e2e.test_serving_whole import ASKED

pytestmark = pytest.mark.timeout(900)
ADDED = {"New release", "Something different"}
"""Reasons for items that the service may add to a list: those newer than it, and draws."""


def ask(topshelf: Topshelf, query: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(topshelf("sql", query, "--json"))
    return rows


@pytest.fixture(scope="module")
def served(topshelf: Topshelf, home: Path, first_run: str) -> dict[str, dict[str, Any]]:
    """What the service answers to the ten users who watched most."""
    viewers = ask(
        topshelf, "SELECT user_id FROM user_features JOIN lists USING (user_id) ORDER BY watches DESC LIMIT 10"
    )
    answers, settings = {}, load({"TOPSHELF_HOME": str(home)}).settings
    users = [viewer["user_id"] for viewer in viewers]
    tokens = {user: make_token(user, token_secret(settings), datetime.now(UTC), 1) for user in users}
    tokens[users[0]] = topshelf("token", users[0]).strip()  # the command makes one as good
    with serve_once(settings, load_rules()) as url:
        for user in users:
            headers = {"Authorization": f"Bearer {tokens[user]}"}
            with urlopen(Request(f"{url}/api/v1/recommendations?limit=20", headers=headers)) as response:
                answers[user] = json.load(response)
    return answers


def test_the_run_measures_its_lists_and_publishes_them(first_run: str) -> None:
    summary = json.loads(first_run)
    assert summary["generation"] == 1
    assert {"popularity.recall@20", "two_tower.recall@20", "lists.recall@20"} <= set(summary["metrics"])
    assert all(seconds >= 0 for seconds in (step["seconds"] for step in summary["steps"]))


def test_everyone_is_answered_from_a_list_of_their_own(served: dict[str, dict[str, Any]]) -> None:
    assert {answer["source"] for answer in served.values()} == {"personalized"}
    assert {len(answer["recommendations"]) for answer in served.values()} == {20}
    pages = {tuple(item["item_id"] for item in answer["recommendations"]) for answer in served.values()}
    assert len(pages) == len(served), "two users are shown the same page"


def test_what_is_served_is_in_the_list_or_says_why_it_was_added(
    topshelf: Topshelf, served: dict[str, dict[str, Any]]
) -> None:
    lists = {row["user_id"]: row["items"] for row in ask(topshelf, "SELECT user_id, items FROM lists")}
    seen = ask(topshelf, "SELECT DISTINCT user_id, item_id FROM events WHERE event_type = 'watch'")
    watched = {(row["user_id"], row["item_id"]) for row in seen}
    for user, answer in served.items():
        own = [item for item in answer["recommendations"] if item["item_id"] in lists[user]]
        added = [item["reason"] for item in answer["recommendations"] if item not in own]
        assert len(own) > 0
        assert set(added) <= ADDED
        page = [item["item_id"] for item in answer["recommendations"]]
        assert [item_id for item_id in page if (user, item_id) in watched] == []


def test_reasons_are_those_of_the_view(topshelf: Topshelf, served: dict[str, dict[str, Any]]) -> None:
    rows = ask(topshelf, "SELECT user_id, item_id, reason FROM recommendation_items")
    reasons = {(row["user_id"], row["item_id"]): row["reason"] for row in rows}
    for user, answer in served.items():
        for item in answer["recommendations"]:
            if item["reason"] not in ADDED:
                assert item["reason"] == reasons[user, item["item_id"]]


@dataclass(frozen=True)
class Twice:
    """What was published before and after the same hour was worked out once more."""

    summary: dict[str, Any]
    again: dict[str, Any]
    before: tuple[list[dict[str, Any]], ...]
    after: tuple[list[dict[str, Any]], ...]


@pytest.fixture(scope="module")
def twice(topshelf: Topshelf, first_run: str, served: dict[str, dict[str, Any]]) -> Twice:
    """Without --republish a run that came out differently would be refused."""
    summary = json.loads(first_run)
    queries = (
        "SELECT user_id, hash, generation FROM published ORDER BY user_id",
        "SELECT user_id, hash FROM recommendations ORDER BY user_id",
    )
    before = tuple(ask(topshelf, query) for query in queries)
    again = json.loads(topshelf("run", "--hour", summary["hour"], "--force", "--json"))
    return Twice(summary, again, before, tuple(ask(topshelf, query) for query in queries))


def test_working_everything_out_anew_gives_the_same_bytes(twice: Twice) -> None:
    assert twice.again["metrics"] == twice.summary["metrics"]
    assert twice.after == twice.before


def test_the_next_run_puts_what_was_shown_into_the_table_served(
    topshelf: Topshelf, served: dict[str, dict[str, Any]], twice: Twice
) -> None:
    rows = ask(topshelf, "SELECT request_id, user_id, item_ids FROM served")
    table = {row["request_id"]: (row["user_id"], row["item_ids"]) for row in rows}
    for user, answer in served.items():
        assert table[answer["request_id"]] == (user, [item["item_id"] for item in answer["recommendations"]])


def test_a_replay_makes_the_pages_that_were_shown(topshelf: Topshelf, twice: Twice) -> None:
    found = json.loads(topshelf("rules", "replay", "--rules", str(RULES_FILE), "--json"))
    assert found["pages"] >= 10
    # But for those that the other tests of this world asked for while a film was taken down.
    assert found["pages"] - found["reproduced"] in (0, ASKED)
    assert found["changed"] == 0
