"""From a folder of data to an answer over HTTP, by the commands alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from conf.loading import load
from conf.rules import load_rules
from serving.local import serve_once
from tests.e2e.conftest import Topshelf

pytestmark = pytest.mark.timeout(900)


def ask(topshelf: Topshelf, query: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(topshelf("sql", query, "--json"))
    return rows


@pytest.fixture(scope="module")
def served(topshelf: Topshelf, home: Path, first_run: str) -> dict[str, dict[str, Any]]:
    """What the service answers to the ten users who watched most."""
    viewers = ask(
        topshelf, "SELECT user_id FROM user_features JOIN lists USING (user_id) ORDER BY watches DESC LIMIT 10"
    )
    answers = {}
    with serve_once(load({"TOPSHELF_HOME": str(home)}).settings, load_rules()) as url:
        for viewer in viewers:
            user = viewer["user_id"]
            headers = {"Authorization": f"Bearer {topshelf('token', user).strip()}"}
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


def test_what_is_served_is_in_the_list_and_was_not_watched(
    topshelf: Topshelf, served: dict[str, dict[str, Any]]
) -> None:
    lists = {row["user_id"]: row["items"] for row in ask(topshelf, "SELECT user_id, items FROM lists")}
    seen = ask(topshelf, "SELECT DISTINCT user_id, item_id FROM events WHERE event_type = 'watch'")
    watched = {(row["user_id"], row["item_id"]) for row in seen}
    for user, answer in served.items():
        shown = [item["item_id"] for item in answer["recommendations"]]
        assert set(shown) <= set(lists[user])
        assert [item for item in shown if (user, item) in watched] == []


def test_reasons_are_those_of_the_view(topshelf: Topshelf, served: dict[str, dict[str, Any]]) -> None:
    rows = ask(topshelf, "SELECT user_id, item_id, reason FROM recommendation_items")
    reasons = {(row["user_id"], row["item_id"]): row["reason"] for row in rows}
    for user, answer in served.items():
        for item in answer["recommendations"]:
            assert item["reason"] == reasons[user, item["item_id"]]


def test_working_everything_out_anew_gives_the_same_bytes(topshelf: Topshelf, first_run: str) -> None:
    """Without --republish a run that came out differently would be refused."""
    summary = json.loads(first_run)
    query = "SELECT user_id, hash, generation FROM published ORDER BY user_id"
    listed = "SELECT user_id, hash FROM recommendations ORDER BY user_id"
    before = ask(topshelf, query), ask(topshelf, listed)
    again = json.loads(topshelf("run", "--hour", summary["hour"], "--force", "--json"))
    assert again["metrics"] == summary["metrics"]
    assert (ask(topshelf, query), ask(topshelf, listed)) == before
