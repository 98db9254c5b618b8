"""What a page is asked for: cursors, search, shelves, many users at once; and what is written down of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import cursor
from serving.problems import Problem
from stores.takedowns import take_down

HOME = "/api/v1/recommendations"
USERS = "/api/v1/users/recommendations"
SEED = "req_0123456789abcdef"
NOW = datetime(2026, 11, 23, 13, 30, tzinfo=UTC).timestamp()


class Finder:
    """Finds the same items whatever the text."""

    def __init__(self, *numbers):
        self.numbers = numbers

    def search(self, snapshot, text, limit):
        score = np.linspace(9, 1, len(self.numbers), dtype=np.float32)
        numbers = np.array(self.numbers, dtype=np.int32)
        return SimpleNamespace(item_no=numbers, score=score, available=self.numbers != ())


def pages(client, path, **kwargs):
    """All pages from the first to the last, as lists of item ids."""
    found, following = [], ""
    while following is not None:
        answer = client(f"{path}{following}", **kwargs)
        assert answer.status_code == 200, answer.text
        found.append([item["item_id"] for item in answer.json["recommendations"]])
        text = answer.json.get("next_cursor")
        following = None if text is None else f"&cursor={text}"
    return found


@pytest.mark.parametrize("path", [f"{HOME}?", f"{HOME}?context=similar&item_id=m0&"])
@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_put_together_are_the_whole_page(client, path, limit):
    whole = client.items(f"{path}limit=100")
    parts = pages(client, f"{path}limit={limit}")
    assert [item for part in parts for item in part] == whole
    assert all(len(part) == limit for part in parts[:-1])


def test_a_cursor_stays_in_its_generation_and_ends_with_it(world, client, make_body):
    first = client(f"{HOME}?limit=1").json
    path = f"{HOME}?limit=1&cursor={first['next_cursor']}"
    assert client(path).json["generation"] == first["generation"] == 1
    for position in (1, 2):
        world.publish({"ann": make_body([7])}, position=position)
        client.follower.poll()
    answer = client(path)
    assert (answer.status_code, answer.json["type"]) == (410, "/problems/cursor-expired")


def test_an_item_taken_down_between_two_pages_makes_the_next_one_skip_none(world, make_client):
    now = [NOW]
    client = make_client(now=lambda: now[0])
    whole = client.items(f"{HOME}?limit=100")
    first = client(f"{HOME}?limit=2").json
    now[0] += 1
    take_down(world.store, [whole[0], whole[3]])
    client.follower.poll()
    now[0] += 1
    following = client.items(f"{HOME}?limit=100&cursor={first['next_cursor']}")
    assert following == [whole[2], *whole[4:]]
    assert client.items(f"{HOME}?limit=100") == [whole[1], whole[2], *whole[4:]]


def test_a_cursor_is_good_for_what_it_was_made_for_only(client):
    text = client(f"{HOME}?limit=1").json["next_cursor"]
    assert client(f"{HOME}?limit=5&cursor={text}").status_code == 200
    assert client(f"/api/v1/users/ann/recommendations?cursor={text}", "shop", scope="service").status_code == 200
    for answer in (
        client(f"{HOME}?cursor={text}", user="kid"),
        client(f"{HOME}?context=similar&item_id=m0&cursor={text}"),
        client(f"{HOME}?cursor={text[:-1]}"),
        client(f"{HOME}?cursor={text[::-1]}"),
        client(f"{HOME}?cursor="),
    ):
        assert answer.status_code == 400
        assert "cursor" in answer.json["detail"]


@given(
    generation=st.integers(1, 2**32 - 1),
    offset=st.integers(1, cursor.MAX_DEPTH - 1),
    seed=st.binary(min_size=8, max_size=8),
    as_of=st.floats(0, 1e11),
    about=st.text("ab\x1fü😀"),
)
def test_a_cursor_says_what_was_put_into_it(generation, offset, seed, as_of, about):
    place = cursor.Place(generation, offset, f"req_{seed.hex()}", as_of)
    assert cursor.read(cursor.write(place, about), about) == place


@given(st.text("A=ü ", max_size=40) | st.text("ABCabc019-_", min_size=cursor.LENGTH, max_size=cursor.LENGTH))
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(Problem, match="cursor"):
        cursor.read(text, "about")


@pytest.mark.parametrize("as_of", [1e300, -1e300, 0.0, NOW + 2 * 86_400])
def test_a_cursor_of_a_time_at_which_nothing_was_shown_is_refused(client, as_of):
    about = "home\x1fann\x1f\x1f"
    place = cursor.read(client(f"{HOME}?limit=1").json["next_cursor"], about)
    forged = cursor.write(replace(place, as_of=as_of), about)
    answer = client(f"{HOME}?cursor={forged}")
    assert (answer.status_code, "cursor" in answer.json["detail"]) == (400, True)


def test_there_is_no_cursor_beyond_the_last_page():
    assert cursor.write(cursor.Place(1, cursor.MAX_DEPTH, SEED, 0.0), "") is None


def test_a_search_shows_what_was_found_and_may_be_seen(make_client):
    client = make_client(searcher=Finder(11, 7, 2, 8, 5))
    assert client.items(f"{HOME}?context=search&q=film", user="kid") == ["m7", "m2", "m5"]
    parts = pages(client, f"{HOME}?context=search&q=film&limit=2", user="kid")
    assert parts == [["m7", "m2"], ["m5"]]


def test_a_search_without_an_index_is_answered_by_the_home_page(make_client):
    client = make_client(searcher=Finder())
    answer = client(f"{HOME}?context=search&q=film").json
    assert [item["item_id"] for item in answer["recommendations"]] == client.items(HOME)
    assert answer["source"] == "personalized"


def test_a_home_page_has_titled_shelves(client):
    answer = client("/api/v1/home?limit=2").json
    assert all(shelf["title"] and 1 <= len(shelf["recommendations"]) <= 2 for shelf in answer["shelves"])
    assert answer["shelves"] != []
    assert (answer["generation"], answer["source"]) == (1, "personalized")


def test_many_users_are_answered_in_one_go_and_one_that_is_wrong_spoils_nothing(client):
    asked = {"user_ids": ["ann", "", "nobody", "ü" * 33, "ann"], "limit": 2, "colour": "red"}
    entries = client(USERS, "shop", "POST", "service", json=asked).json["users"]
    assert [entry["user_id"] for entry in entries] == asked["user_ids"]
    assert [entry.get("answer", entry.get("problem")).get("source") for entry in entries] == [
        "personalized",
        None,
        "popular",
        None,
        "personalized",
    ]
    assert entries[1]["problem"]["status"] == entries[3]["problem"]["status"] == 400
    alone = client(f"{HOME}?limit=2").json
    assert entries[0]["answer"]["recommendations"] == alone["recommendations"]
    assert len({entry["answer"]["request_id"] for entry in entries if "answer" in entry}) == 3


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "user_ids"),
        ({"user_ids": []}, "user_ids"),
        ({"user_ids": ["u"] * 101}, "user_ids"),
        ({"user_ids": ["ann", 7]}, "user_ids.1"),
        ({"user_ids": ["ann"], "limit": 0}, "limit"),
        ({"user_ids": ["ann"], "limit": "5"}, "limit"),
        ({"user_ids": ["ann"], "context": "search"}, "context"),
        ([], "The body"),
    ],
)
def test_a_wrong_batch_is_refused_by_name(client, body, named):
    answer = client(USERS, "shop", "POST", "service", json=body)
    assert (answer.status_code, answer.json["detail"].startswith(named)) == (400, True), answer.json


def test_a_place_that_is_passed_over_stays_empty_in_what_is_written_down(make_client):
    records, now = [], [NOW]
    client = make_client(shown=SimpleNamespace(add=records.append), now=lambda: now[0])
    order = [item["item_id"] for item in client(f"{HOME}?limit=6").json["recommendations"]]
    first = client(f"{HOME}?limit=2")
    now[0] += 60
    watched = {
        "event_type": "watch",
        "item_id": order[2],
        "timestamp": datetime.fromtimestamp(NOW + 30, UTC).isoformat(),
    }
    assert client("/api/v1/events", method="POST", json=watched).status_code == 202
    second = client(f"{HOME}?limit=2&cursor={first.json['next_cursor']}")
    assert [item["item_id"] for item in second.json["recommendations"]] == order[3:5]
    assert list(records[-1]["positions"]) == [3, 4]


def test_what_was_shown_is_written_down_with_its_positions(make_client):
    records = []
    client = make_client(shown=SimpleNamespace(add=records.append))
    first = client(f"{HOME}?limit=2")
    second = client(f"{HOME}?limit=2&cursor={first.json['next_cursor']}")
    assert [list(record["positions"]) for record in records] == [[0, 1], [2, 3]]
    assert [record["request_id"] for record in records] == [one.json["request_id"] for one in (first, second)]
    record = records[0]
    assert (record["user_id"], record["context"], record["generation"]) == ("ann", "home", 1)
    assert [f"m{number}" for number in record["item_no"]] == [item["item_id"] for item in first.json["recommendations"]]
    assert len(record["propensities"]) == len(record["tiers"]) == 2
    assert (record["assigned"], record["variant"]) == ("champion", "champion")
    client(HOME, user="nobody")
    assert (records[-1]["assigned"], records[-1]["variant"]) == ("champion", "popular")
    del records[:]
    client("/api/v1/home?limit=2")
    client(USERS, "shop", "POST", "service", json={"user_ids": ["ann", "kid"]})
    client("/api/v1/items/m0/similar")
    assert [(one["user_id"], one["context"]) for one in records] == [
        ("ann", "shelves"),
        ("ann", "home"),
        ("kid", "home"),
        ("ann", "similar"),
    ]
    del records[:]
    for path in (HOME, "/api/v1/home", "/api/v1/items/m0/similar"):
        client(path, method="HEAD")
    client("/api/v1/items/m0/similar", user=None)
    assert records == [], "nobody saw the answer to HEAD, and nobody in particular the one without a token"
