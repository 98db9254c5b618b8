"""What the log of explored places says of lists that nobody was served yet."""

from __future__ import annotations

import pytest

from jobs.shadow import TOP, estimated_clicks
from jobs.tables import EVENTS, ITEMS, PUBLISHED, SERVED
from tests.jobs.publishing import NOW, hour

pytestmark = pytest.mark.timeout(600)
USERS, ITEMS_DRAWN = 20, 40
"""Item n was drawn once for each user on a page of its own. People click the even ones."""


def rows_of(table, rows):
    return [tuple(row.get(name) for name in table.columns) for row in rows]


def put(lake, table, rows):
    lake.append(table, lake.spark.createDataFrame(rows_of(table, rows), table.schema))


@pytest.fixture
def logged(lake):
    at = {"timestamp": NOW, "date": NOW.date(), "hour": NOW.hour}
    items = [
        {"item_no": n, "item_id": f"m{n}", "title": f"m{n}", "genres": [], "cast": [], "maturity": 0, "regions": ["*"],
         "status": "active"}
        for n in range(2 * ITEMS_DRAWN)
    ]  # fmt: skip
    pages = [
        {"request_id": f"{user}-{n}", "offset": 0, "user_id": user, "context": "home", "positions": [0, 1],
         "item_ids": [f"m{n}", "m79"], "propensities": [0.01, 1.0], "tiers": ["personalized"] * 2, "generation": 1,
         "model_version": "v1", "assigned": "champion", "variant": "champion", "dropped": 0, **at}
        for user in map(str, range(USERS))
        for n in range(ITEMS_DRAWN)
    ]  # fmt: skip
    clicks = [
        {"event_id": page["request_id"], "user_id": page["user_id"], "item_id": f"m{n}", "event_type": "click",
         "context": (None, "home", 0, page["request_id"], None), "ingested_at": NOW, **at}
        for page in pages
        if (n := int(page["item_ids"][0][1:])) % 2 == 0
    ]  # fmt: skip

    def lists(variant, numbers):
        entries = [(n, f"m{n}", 0.5, "ann", None) for n in numbers]
        return [
            {"user_id": str(user), "variant": variant, "items": entries, "maturity_limit": 0, "body": b"", "hash": "",
             "ring_position": 0, "generation": 1, "store_id": "store", "hour": NOW}
            for user in range(USERS)
        ]  # fmt: skip

    put(lake, ITEMS, items)
    put(lake, SERVED, pages)
    put(lake, EVENTS, clicks)
    put(lake, PUBLISHED, [*lists("challenger", range(0, 40, 2)), *lists("champion", range(TOP))])
    return lake


def test_clicks_are_estimated_for_either_variants_lists(logged):
    found = estimated_clicks(logged, hour(3), 1, "store")
    assert found["places"] == USERS * ITEMS_DRAWN
    assert found["challenger_clicks"]["value"] == 1.0  # all of its first 20 are even
    assert found["champion_clicks"]["value"] == 0.5
    assert found["champion_clicks"]["effective"] == USERS * TOP


def test_of_a_log_that_says_too_little_nothing_is_estimated(lake):
    assert estimated_clicks(lake, hour(3), 1, "store") == {"places": 0}
