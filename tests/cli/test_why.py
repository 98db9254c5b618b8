"""`topshelf why`: what the service says of an item, and what the batch does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.tables import USERS
from stores.opening import open_store
from stores.sessions.base import SessionEvent
from stores.takedowns import take_down
from tests.cli import scored_home
from tests.cli.conftest import HOUR, Topshelf, write
from tests.serving.conftest import ANN, KID, NOW, World, body
from tests.serving.conftest import home as settings_of

Why = Callable[..., dict[str, Any]]


@pytest.fixture
def world(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The twelve films of tests/serving, published into the home of the commands."""
    monkeypatch.setattr("stores.folders._sync", lambda descriptor: None)
    settings = settings_of(home.parent)
    with open_store(settings) as store:
        made = World(settings, store)
        made.publish({"ann": ANN, "kid": KID})
        yield made


@pytest.fixture
def why(topshelf: Topshelf) -> Why:
    def ask(user: str, item: str, *options: str) -> dict[str, Any]:
        result = topshelf("why", user, item, "--json", *options)
        assert result.exit_code == 0, result.stderr
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    return ask


def step(answer: dict[str, Any], stage: str, part: str = "service") -> tuple[str, str]:
    (found,) = [each for each in answer[part] if each["stage"] == stage]
    return found["mark"], found["text"]


def test_an_item_on_the_page_is_traced_from_the_stored_list_to_its_place(world: World, why: Why) -> None:
    answer = why("ann", "m3", "--no-batch")
    assert answer["verdict"].startswith("On the home page at place ")
    mark, text = step(answer, "entered")
    assert (mark, text.split(". ")[0]) == (
        "passed",
        "Place 5 of 7 in the stored list, by similar, similar to “Film 0”",
    )
    assert step(answer, "filter") == ("passed", "No rule bars it.")
    assert answer["trace"]["place"] == int(step(answer, "place")[1].split(",")[0]) - 1
    assert text.endswith("of the user's own list, before any rule.")
    assert "page and time" in step(why("ann", "m5", "--no-batch"), "score")[1], "only m5 has a context term"


@pytest.mark.parametrize(
    ("user", "item", "rule", "text"),
    [
        ("ann", "m11", "inactive", "It is not active in the catalogue."),
        ("kid", "m10", "maturity", "It is for maturity 4, and the viewer's limit is 0."),
        ("kid", "m9", "region", "It is licensed in US, which the viewer's region is not."),
        ("ann", "m8", "window", "Its licence runs from ever to 2001-01-01 00:00Z."),
        ("ann", "m0", "hidden", "It is one of the last watches that the list was made from."),
        ("ann", "m4", "hidden", "The user's session has not_interested of it, at 2026-11-23 13:30Z."),
        ("ann", "m5", "inactive", "It was taken down (`topshelf takedown`)."),
    ],
)
def test_the_rule_that_bars_an_item_is_named_with_what_it_went_by(
    world: World, why: Why, user: str, item: str, rule: str, text: str
) -> None:
    from stores.opening import open_sessions

    sessions = open_sessions(world.settings)
    sessions.apply("ann", [SessionEvent(4, "not_interested", NOW.timestamp())])
    sessions.close()
    take_down(world.store, ["m5"])
    answer = why(user, item, "--no-batch")
    assert step(answer, "filter") == ("stopped", f"{rule}: {text}")
    assert answer["verdict"] == f"Not on the home page: the rule {rule} removes it. {text}"
    assert answer["trace"]["removed_by"] == rule


def test_an_item_that_had_to_wait_names_the_diversity_rule(world: World, why: Why) -> None:
    import numpy as np

    primary = np.array([0] * 6 + [1] * 6, np.uint8)
    world.publish({"ann": body([1, 2, 3, 4, 6, 7])}, position=1, primary_genre=primary)
    held = {item for item in ("m1", "m2", "m3", "m4", "m6", "m7") if why("ann", item, "--no-batch")["trace"]["held_by"]}
    assert held == {"m4"}, "the fourth of one primary genre"
    mark, text = step(why("ann", "m4", "--no-batch"), "diversity")
    assert mark == "moved"
    assert text.startswith("primary_genre: 3 of 20 neighbours may be of its primary genre")


def test_users_and_items_that_nobody_knows_are_errors_that_say_so(world: World, topshelf: Topshelf, home: Path) -> None:
    write(home, USERS, [{"user_id": "bob", "maturity_limit": 4, "created_at": HOUR}])
    for arguments, text in (
        (("nobody", "m3"), "there is no user 'nobody'"),
        (("ann", "film 3"), "there is no item 'film 3' in the catalogue; is it one of m3 (Film 3)"),
        (("x" * 65, "m3"), "a user id has 1 to 64 bytes"),
    ):
        result = topshelf("why", *arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert text in result.stderr
    result = topshelf("why", "bob", "m3", "--no-batch")
    assert result.exit_code == 0
    assert "No list in the store" in " ".join(result.stdout.split()), "a user without a list is none that is unknown"


def test_what_the_batch_has_not_kept_is_said_to_be_unknown(world: World, why: Why) -> None:
    (only,) = why("ann", "m3")["batch"]
    assert only["mark"] == "unknown"
    assert "cannot be traced: hour 2026-11-23T12:00Z has not been scored" in only["text"]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scored") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stores.folders._sync", lambda descriptor: None)
        scored_home.make(path)
    (path / "settings.yaml").write_text(yaml.safe_dump(nested(scored_home.SETTINGS)))
    return path


def nested(overrides: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for text in overrides:
        key, _, value = text.partition("=")
        section, _, name = key.partition(".")
        found.setdefault(section, {})[name] = yaml.safe_load(value)
    return found


@pytest.fixture
def batch(scored: Path, monkeypatch: pytest.MonkeyPatch, why: Why) -> Callable[[int], dict[str, Any]]:
    monkeypatch.setenv("TOPSHELF_HOME", str(scored))
    return lambda number: why("ann", f"m{number}")


def test_the_hour_scored_again_gives_the_list_that_is_served(batch: Callable[[int], dict[str, Any]]) -> None:
    kept: dict[int, float] = {}
    for number in range(scored_home.FILMS):
        answer = batch(number)
        assert "It gives the very list that is served." in step(answer, "list", "batch")[1]
        mark, text = step(answer, "cut", "batch")
        listed = "in the stored list" in step(answer, "entered")[1]
        assert (mark == "passed") == listed, answer
        if listed:
            place = int(text.split()[1])
            assert f"Place {place} of 6 in the stored list" in step(answer, "entered")[1]
            kept[place] = float(step(answer, "ranker", "batch")[1].split()[3])
            # The row keeps log-odds in steps of 1/16, up to 7.9375.
            assert answer["trace"]["log_odds"] == pytest.approx(min(kept[place], 7.9375), abs=0.032)
            assert {step(answer, stage, "batch")[0] for stage in ("filter", "candidates", "ranker")} == {"passed"}
    assert list(kept) != []
    assert len(set(kept.values())) > 3
    in_order = [kept[place] for place in sorted(kept)]
    assert sorted(kept) == list(range(1, 7))
    assert in_order == sorted(in_order, reverse=True)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "it was watched, rated or refused"),
        (3, "it was inactive"),
        (4, "it is for maturity 4, the user's limit is 2"),
        (5, "it is not licensed in the user's region"),
    ],
)
def test_the_filter_of_the_batch_is_named(batch: Callable[[int], dict[str, Any]], number: int, text: str) -> None:
    answer = batch(number)
    assert step(answer, "filter", "batch") == ("stopped", f"Left out before it was ranked: {text}.")
    assert step(answer, "candidates", "batch")[0] == "stopped"
    assert "It would have said log-odds" in step(answer, "ranker", "batch")[1]


def test_the_sources_say_which_of_them_had_an_item(batch: Callable[[int], dict[str, Any]]) -> None:
    trending, new = batch(29), batch(28)
    assert step(trending, "source trending", "batch") == ("passed", "Place 1 of the first 5.")
    assert step(new, "source new", "batch") == ("passed", "Place 1 of the first 5.")
    assert step(new, "source trending", "batch")[0] == "stopped"
    assert step(batch(13), "source genre", "batch") == (
        "passed",
        "Space: weight 0.40, so it counts; place 2 of its 5 popular items.",
    )
    assert step(batch(15), "source genre", "batch")[0] == "stopped", "Love weighs 0.1, and 0.3 would count"


def test_a_model_that_is_gone_leaves_the_service_s_part(
    scored: Path, batch: Callable[[int], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli.inspecting.batch import _load

    copy = tmp_path / "copy"
    shutil.copytree(scored, copy)
    shutil.rmtree(copy / "models")
    monkeypatch.setenv("TOPSHELF_HOME", str(copy))
    _load.cache_clear()
    answer = batch(13)
    (only,) = answer["batch"]
    assert only["mark"] == "unknown"
    assert "no readable model.json" in only["text"]
    assert len(answer["service"]) > 4
