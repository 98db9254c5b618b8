"""The questions of docs/analysis.md, asked of three films and two users, and answered as one can see."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from jobs.tables import (
    EVENTS,
    ITEM_FEATURES,
    ITEMS,
    OUTCOMES,
    PUBLICATIONS,
    PUBLISHED,
    RECOMMENDATIONS,
    REJECTS,
    SERVED,
)
from tests.cli.conftest import FILMS, HOUR, LISTS, Topshelf, write

PAGE = Path(__file__).parents[2] / "docs" / "analysis.md"
QUESTIONS = dict(re.findall(r"^## (.+?)$[^#]*?```sql\n(.+?)```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
TODAY = date(2026, 1, 1)
AT = {"timestamp": HOUR, "date": TODAY, "hour": 5}
ANSWERS = {
    "What is done at each position": [[0, 2, 1, 1, 0, 0.5], [1, 2, 1, 0, 0, 0.0]],
    "CTR by what an item is from, and by variant": [["champion", "personalized", 4, 0.25]],
    "CTR by candidate source": [["similar", 2, 0.0], ["ann", 1, 1.0], ["popular", 1, 0.0]],
    "How much of the catalogue is listed": [[3, 3, 1.0, 2]],
    "How popular what is listed is": [[1, 2, 0.4], [2, 1, 0.2], [3, 2, 0.4]],
    "How much lists change from hour to hour": [["2026-01-01", 4, 1, 0, None], ["2026-01-01", 5, 1, 1, 0.5]],
    "How often new and little watched items are seen": [[False, 2, 1, 0.5, 0.5], [True, 2, 2, 0.5, 0.5]],
    "Why this list": [[1, "Alien", 0.9, "ann", "Picked for you"],
                      [2, "Blade [Runner]", 0.5, "similar", "Because you watched Alien"],
                      [3, "It's", 0.25, "genre", "Because you like Sci-Fi"]],
    "How old what users see is": [["2026-01-01T05:00:00Z", 2, 1.0]],
    "What publications wrote and cost": [
        [4, "current", "2026-01-01T06:00:00Z", 2, 1, 0, 0.0, 2.0, 0.5, 60.0, None],
        [3, "retired", "2026-01-01T05:00:00Z", 2, 1, 0, 0.0, 2.0, 0.5, 60.0, None],
    ],
    "What users got who are not assigned to the popular lists": [["2026-01-01", "personalized", 2, 1.0]],
    "Clicks and minutes, by day and variant": [["2026-01-01", "champion", 2, 3, 0.2, 20.0]],
    "What an import could not take": [["no such item", 2, "events.csv", 7]],
}  # fmt: skip


def publication(generation: int, state: str, base: int | None) -> dict[str, object]:
    zeros = dict.fromkeys(("unchanged", "carried", "throttled", "rejected", "estimated_units", "estimated_dollars",
                           "units", "bytes", "planned", "changed"), 0)  # fmt: skip
    return {
        **zeros, "generation": generation, "step": 1, "state": state, "hour": HOUR + timedelta(hours=generation - 3),
        "store_id": "s", "manifest": json.dumps({"tables": {"items": 0, "published": base}}), "scored": 2, "written": 1,
        "dollars": 0.5, "load_seconds": 2.0, "checks": [], "base_version": base, "started_at": HOUR,
        "noted_at": HOUR + timedelta(minutes=1),
    }  # fmt: skip


@pytest.fixture
def asked(home: Path) -> Path:
    write(home, ITEMS, FILMS)
    write(home, PUBLISHED, LISTS)
    watched = zip(range(3), (False, True, True), strict=True)
    write(home, ITEM_FEATURES, [
        {"item_no": n, "item_id": f"m{n}", "watch_count": 9 - n, "positives": 9 - n, "popularity": 1.0, "trend": 0.0,
         "cold": cold, "as_of": HOUR}
        for n, cold in watched
    ])  # fmt: skip
    made = [("ann", 4, LISTS[0]["items"][:2]), ("ann", 5, LISTS[0]["items"][1:])]  # type: ignore[index]
    write(home, RECOMMENDATIONS, [
        {"user_id": user, "items": items, "embedding": b"", "maturity_limit": 4, "body": b"", "hash": "h",
         "model_id": "m", "date": TODAY, "hour": hour, "variant": "champion"}
        for user, hour, items in made
    ])  # fmt: skip
    write(home, SERVED, [
        {"request_id": f"req-{user}", "offset": 0, "user_id": user, "context": "home", "item_ids": items,
         "positions": [0, 1], "propensities": [None, None], "tiers": ["personalized"] * 2, "generation": 3,
         "model_version": "v1", "assigned": "champion", "variant": "champion", "dropped": 0, **AT}
        for user, items in (("ann", ["m0", "m1"]), ("bob", ["m2", "m0"]))
    ])  # fmt: skip
    write(home, EVENTS, [
        {"event_id": str(number), "user_id": "ann", "item_id": item, "event_type": kind, "ingested_at": HOUR,
         "context": {"device": None, "page": "home", "position": 0, "recommendation_id": "req-ann",
                     "model_version": "v1"}, **AT}
        for number, (item, kind) in enumerate([("m0", "impression"), ("m1", "impression"), ("m0", "click")])
    ])  # fmt: skip
    write(home, OUTCOMES, [
        {"user_id": user, "assigned": "champion", "model_version": "v1", "pages": pages, "shown": 20, "impressions": 5,
         "clicks": 1, "watches": 1, "minutes": 20.0, "date": TODAY, "hour": 5}
        for user, pages in (("ann", 1), ("bob", 2))
    ])  # fmt: skip
    write(home, PUBLICATIONS, [publication(3, "retired", None), publication(4, "current", 0)])
    write(home, REJECTS, [
        {"import_id": "i", "file": "events.csv", "line": line, "reason": "no such item", "row": "…"} for line in (7, 9)
    ])  # fmt: skip
    return home


def test_every_question_has_an_answer_here() -> None:
    assert set(QUESTIONS) == set(ANSWERS)


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_is_what_one_can_see(asked: Path, topshelf: Topshelf, question: str) -> None:
    found = topshelf("sql", QUESTIONS[question], "--json")
    assert found.exit_code == 0, found.stderr
    assert [list(row.values()) for row in json.loads(found.stdout)] == ANSWERS[question]


def test_an_earlier_generation_is_asked_as_it_was(asked: Path, topshelf: Topshelf) -> None:
    write(asked, PUBLISHED, LISTS[:1])
    now = topshelf("sql", "--as-of", "4", "SELECT count(*) AS lists FROM lists", "--csv").stdout.split()
    then = topshelf("sql", "--as-of", "3", "SELECT count(*) AS lists FROM lists", "--csv").stdout.split()
    assert (now, then) == (["lists", "1"], ["lists", "2"])
    wrong = topshelf("sql", "--as-of", "9", "SELECT 1")
    assert wrong.exit_code == 1
    assert "generation 9 was never live; those that were: 4, 3" in wrong.stderr
