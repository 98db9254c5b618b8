"""What `topshelf rules` says of a change, on pages of two users with lists that a reader can follow."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conf.loading import load
from conf.rules import RULES_FILE, load_rules
from jobs.tables import SERVED
from stores.eventlog.framing import SegmentWriter, line
from stores.opening import open_sessions, open_store
from stores.sessions.base import SessionEvent
from tests.cli.conftest import Topshelf, write
from tests.serving.conftest import World, body
from tests.serving.films import Cinema

USERS = ("ann", "bob")
AGO = 600.0
NO_SCIENCE_FICTION = ("tiers: {}", "tiers: {basic: {genres: [Sci-Fi]}}")
"""m1, m4, m7 and m10."""


@pytest.fixture
def world(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("stores.folders._sync", lambda descriptor: None)
    settings = load({"TOPSHELF_HOME": str(home)}).settings
    with open_store(settings) as store:
        made = World(settings, store)
        made.publish({user: body([0, 1, 2, 3], anchors=()) for user in USERS})
        yield made


def show(world: World, home: Path, *, limit: int = 4) -> list[list[str]]:
    """Have the service's own code make a page for each user, some minutes ago, and put it into the table served."""
    cinema = Cinema(world, load_rules())
    cinema.now = time.time() - AGO
    moment = datetime.fromtimestamp(cinema.now, UTC)
    rows = []
    for user in USERS:
        page = cinema.home(limit, user, seed=f"req_{user}")
        rows.append(
            {
                "request_id": f"req_{user}", "offset": 0, "user_id": user, "context": "home",
                "item_ids": [f"m{number}" for number in page.item_no], "positions": list(range(limit)),
                "propensities": page.propensity, "tiers": page.tier, "generation": world.generation,
                "model_version": "v1", "assigned": page.assigned, "variant": page.assigned, "dropped": 0,
                "timestamp": moment, "date": moment.date(), "hour": moment.hour,
            }
        )  # fmt: skip
    write(home, SERVED, rows)
    return [row["item_ids"] for row in rows]


def changed(home: Path, old: str, new: str) -> str:
    path = home / "new.yaml"
    text = RULES_FILE.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return str(path)


def report(topshelf: Topshelf, *arguments: str) -> dict:
    done = topshelf("rules", "replay", "--json", *arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def did(world: World, user: str, item_no: int, ago: float) -> None:
    sessions = open_sessions(world.settings)
    moment = time.time() - ago
    sessions.apply(user, [SessionEvent(item_no, "watch", moment, moment)])
    sessions.close()


def test_a_genre_that_is_barred_loses_its_items_and_nothing_else(world: World, home: Path, topshelf: Topshelf) -> None:
    assert show(world, home) == [["m0", "m1", "m2", "m3"]] * 2
    found = report(topshelf, "--rules", changed(home, *NO_SCIENCE_FICTION))
    assert found["lost"] == [{"item_id": "m1", "title": "Film 1", "old": 2, "new": 0}]
    assert found["gained"] == [{"item_id": "m9", "title": "Film 9", "old": 0, "new": 2}]
    assert {name: found[name] for name in ("pages", "reproduced", "changed", "overlap", "overlap_first")} == {
        "pages": 2, "reproduced": 2, "changed": 2, "overlap": 0.75, "overlap_first": 0.75,
    }  # fmt: skip
    own, all_of_it = {"personalized": 0.75, "segment": 0.25}, {"personalized": 1.0}
    assert found["old"] == {"short": 0, "genres": 3.0, "positions": all_of_it, "removed": {}}
    assert found["new"] == {"short": 0, "genres": 2.0, "positions": own, "removed": {"tier": 2}}


def test_a_page_that_nothing_is_left_for_comes_out_short(world: World, home: Path, topshelf: Topshelf) -> None:
    assert len(show(world, home, limit=8)[0]) == 8
    all_but_drama = "tiers: {basic: {genres: [Sci-Fi, Comedy]}}"
    found = report(topshelf, "--rules", changed(home, "tiers: {}", all_but_drama))
    assert (found["old"]["short"], found["new"]["short"]) == (0, 2)


def test_a_page_is_made_as_of_its_own_time(world: World, home: Path, topshelf: Topshelf) -> None:
    did(world, "ann", 0, ago=AGO + 60)
    assert "m0" not in show(world, home)[0]
    did(world, "ann", 3, ago=AGO - 60)
    world.publish({user: body([7, 6, 5, 4], anchors=()) for user in USERS}, position=1)
    found = report(topshelf, "--rules", str(RULES_FILE))
    assert {name: found[name] for name in ("reproduced", "acted_since", "other_generation", "changed")} == {
        "reproduced": 2, "acted_since": 1, "other_generation": 0, "changed": 0,
    }  # fmt: skip


def test_a_replay_of_what_is_gone_is_not_to_be_trusted(world: World, home: Path, topshelf: Topshelf) -> None:
    show(world, home)
    for position in (1, 2, 0):
        world.publish({user: body([7, 6, 5, 4], anchors=()) for user in USERS}, position=position)
    arguments = ("rules", "replay", "--rules", changed(home, *NO_SCIENCE_FICTION))
    said = topshelf(*arguments).stdout.splitlines()
    assert said[0] == "0 of 2 pages (0.0%) come out as they were shown."
    assert said[1] == "That is low: this replay is not to be trusted."
    assert said[2] == "2 pages are made from another generation's lists: their own is gone."
    assert report(topshelf, *arguments[2:])["trusted"] is False


def test_a_sample_is_drawn_by_its_seed(world: World, home: Path, topshelf: Topshelf) -> None:
    world.publish({user: body(items, anchors=()) for user, items in zip(USERS, ([0, 1], [3, 4]), strict=True)}, 1)
    show(world, home, limit=2)
    arguments = ("--rules", changed(home, *NO_SCIENCE_FICTION))
    for option in ("--pages", "--users"):
        found = [report(topshelf, *arguments, option, "1", "--seed", str(seed)) for seed in (1, 5, 1)]
        assert {(each["pages"], each["in_the_table"]) for each in found} == {(1, 2)}
        lost = [each["lost"][0]["item_id"] for each in found]
        assert set(lost) == {"m1", "m4"}
        assert lost[0] == lost[2]


def test_what_is_not_in_the_table_yet_is_told_of(world: World, home: Path, topshelf: Topshelf) -> None:
    nothing = topshelf("rules", "replay", "--rules", str(RULES_FILE))
    assert (nothing.exit_code, nothing.stderr) == (1, "error: served is not there yet: `topshelf run` writes it\n")
    show(world, home)
    log = SegmentWriter(home / "shown", "worker")
    log.append(line({"request_id": "req_later"}), sync=False)
    log.close()
    assert report(topshelf, "--rules", str(RULES_FILE))["not_there_yet"] == 1
    gone = topshelf("rules", "replay", "--rules", str(RULES_FILE), "--hours", "0.1")
    assert gone.exit_code == 1
    assert "no home page of the last 0.1 hours is in the table served; 1 pages of all kinds" in gone.stderr


def test_the_rules_of_the_setting_are_those_in_force(world: World, home: Path, topshelf: Topshelf) -> None:
    show(world, home)
    changed(home, *NO_SCIENCE_FICTION)
    in_force = ("--set", "serving.rules_file=new.yaml")
    assert "m1" in topshelf("recs", "ann", "--limit", "4", "--json").stdout
    assert '"m1"' not in topshelf("recs", "ann", "--limit", "4", "--json", *in_force).stdout
    found = report(topshelf, "--rules", str(home / "new.yaml"), *in_force)
    assert (found["changed"], found["reproduced"]) == (0, 0)


def test_check_says_what_is_wrong_and_how_to_mend_it(world: World, home: Path, topshelf: Topshelf) -> None:
    good = topshelf("rules", "check", changed(home, *NO_SCIENCE_FICTION))
    assert (good.exit_code, good.stdout, good.stderr) == (0, f"{home}/new.yaml is a file of rules\n", "")
    unknown = topshelf("rules", "check", changed(home, "{}", "{basic: {genres: [SciFi, Drama], items: [m3, m99]}}"))
    assert (unknown.exit_code, unknown.stderr) == (0, "not in the catalogue: genre SciFi, m99\n")
    for old, new, says in (
        ("window: 20", "windows: 20", "diversity.windows is not a rule: "),
        ("window: 20", "windows: 20", "diversity.window is missing: take it over from "),
        ("window: 20", "window: 0", "diversity.window: Input should be greater than 0 (got 0); change it"),
        ("window: 20", "window: [", "is not valid YAML"),
    ):
        wrong = topshelf("rules", "check", changed(home, old, new))
        assert wrong.exit_code == 2
        assert f"{home}/new.yaml" in wrong.stderr
        assert says in wrong.stderr
