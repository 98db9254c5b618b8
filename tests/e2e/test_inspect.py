"""The operators' page, in a real Chromium over a published world of twelve films."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from cli.inspecting.app import create_inspect_app
from cli.inspecting.desk import Desk
from conf.rules import load_rules
from jobs.tables import EVENTS, PUBLISHED
from stores.eventlog.embedded import EmbeddedReader
from stores.opening import open_store
from stores.takedowns import take_down
from tests.cli.conftest import LISTS, write
from tests.services.ports import free_port, wait_for_port
from tests.serving.conftest import ANN, KID, NOW, World, body
from tests.serving.conftest import home as settings_of
from tests.serving.films import films

SLOW = 60_000
"""Milliseconds: the first trace of the batch imports torch."""
PHONE, DESKTOP = (390, 844), (1440, 1000)
PAST = {"event_id": "e1", "user_id": "ann", "item_id": "m0", "event_type": "watch", "completed": True,
        "timestamp": NOW, "ingested_at": NOW, "date": NOW.date(), "hour": 13}  # fmt: skip


@dataclass
class Seen:
    """A page, with all that it asked for and all that it complained of."""

    page: Page
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def titles(self) -> list[str]:
        found: list[str] = self.page.locator(".card strong").all_inner_texts()
        return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """ann has three lists in her ring, and m5 is taken down."""
    monkeypatch.setattr("stores.folders._sync", lambda descriptor: None)
    settings = settings_of(tmp_path)
    write(settings.home, PUBLISHED, LISTS)
    write(settings.home, EVENTS, [PAST])
    with open_store(settings) as store:
        made = World(settings, store)
        made.publish({"ann": body([7, 6]), "kid": KID})
        made.publish({"ann": body([1, 2])}, position=1)
        made.publish({"ann": ANN}, position=2)
        held = store.read_control()
        assert held is not None
        store.swap_control(held, held.without(2))
        take_down(store, ["m5"])
        yield made


@pytest.fixture
def desk(world: World) -> Iterator[Desk]:
    with Desk(world.settings, load_rules(), NOW.timestamp) as made:
        yield made


@pytest.fixture
def url(desk: Desk) -> Iterator[str]:
    with make_server("127.0.0.1", 0, create_inspect_app(desk), threaded=True) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Callable[..., Seen]]:
    """Opens the page at a size. What it asks for elsewhere, and any complaint, fails the test."""
    opened: list[Seen] = []

    def go(address: str = "", size: tuple[int, int] = DESKTOP) -> Seen:
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme="dark")
        seen = Seen(page)
        page.on("request", lambda request: seen.asked.append(request.url))
        page.on("console", lambda message: seen.said.append(message.text))
        page.on("pageerror", lambda error: seen.said.append(str(error)))
        page.goto(url + address)
        opened.append(seen)
        return seen

    yield go
    for seen in opened:
        assert seen.said == []
        assert [asked for asked in seen.asked if not asked.startswith((url, "data:"))] == []
        seen.page.close()


def events_of(world: World) -> list[dict[str, Any]]:
    batches = EmbeddedReader(world.settings.eventlog_path).read({})
    return [json.loads(record.value or b"") for batch in batches for record in batch.records]


def test_what_a_user_refuses_is_gone_from_the_list_at_once(visit: Callable[..., Seen], world: World) -> None:
    seen = visit()
    seen.page.get_by_label("User id, or its beginning").fill("a")
    seen.page.get_by_role("link", name="ann", exact=True).click()
    expect(seen.page.get_by_role("heading", name="ann")).to_be_visible()
    expect(seen.page.locator(".card").first).to_be_visible()
    before = seen.titles()
    assert "Film 3" in before
    assert not {"Film 0", "Film 5", "Film 8", "Film 11"} & set(before)
    seen.page.locator(".card", has_text="Film 3").get_by_role("button", name="Not interested").click()
    expect(seen.page.get_by_role("status")).to_contain_text("not_interested of “Film 3”. It is off the page")
    assert seen.titles() == [title for title in before if title != "Film 3"]
    expect(seen.page.locator("#session .chip")).to_have_text(["not_interested"])
    (logged,) = events_of(world)
    assert (logged["user_id"], logged["item_id"], logged["event_type"]) == ("ann", "m3", "not_interested")


def test_why_names_the_rule_of_an_item_that_is_barred(visit: Callable[..., Seen]) -> None:
    seen = visit("/#user=ann")
    box, button = seen.page.get_by_label("Item id or title"), seen.page.get_by_role("button", name="Why?")
    box.fill("film")
    button.click()
    expect(seen.page.locator("#meant a")).to_have_count(8)
    box.fill("film 5")
    button.click()
    answer = seen.page.locator("#answer")
    expect(answer).to_contain_text("the rule inactive removes it. It was taken down")
    expect(answer).to_contain_text("What the batch did cannot be traced", timeout=SLOW)
    seen.page.locator("#rules summary").click()
    expect(seen.page.locator("#rules li", has_text="Film 8")).to_contain_text("window")


def test_the_ring_shows_all_lists_and_why_they_are_not_shown(visit: Callable[..., Seen]) -> None:
    seen = visit("/#user=ann")
    rows = seen.page.locator("#ring article")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("not shown: a newer list is")
    expect(rows.nth(1)).to_contain_text("its generation is bad")
    expect(rows.nth(2)).to_contain_text("shown: the newest that readers may see")
    expect(seen.page.locator("#history li")).to_contain_text(["watch, to the end"])


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_nothing_scrolls_sideways(visit: Callable[..., Seen], size: tuple[int, int]) -> None:
    seen = visit("/#user=ann&item=m3", size)
    expect(seen.page.locator("#answer")).to_contain_text("What the batch did", timeout=SLOW)
    widths = seen.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths == [size[0], size[0]]
    assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 28)"
    assert seen.page.locator("svg.cover").count() == len(seen.titles()) > 0


def ask(url: str, path: str, method: str = "GET", payload: Any = None, **headers: str) -> tuple[int, str]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = HTTPConnection(parts.hostname, parts.port, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=None if payload is None else json.dumps(payload), headers=named)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_other_names_other_sites_and_other_starts_are_refused(url: str, world: World) -> None:
    event = {"user_id": "ann", "item_id": "m3", "event_type": "watch"}
    assert ask(url, "/", Host="localhost:1")[0] == 200
    for status, text in (
        ask(url, "/", Host="evil.example"),
        ask(url, "/api/user?user=ann", Host="evil.example:8600"),
        ask(url, "/api/user?user=ann", Origin="https://evil.example"),
        ask(url, "/api/events", "POST", event),
        ask(url, "/api/events", "POST", event, X_Inspect_Token="guessed"),
    ):
        assert (status, json.loads(text)["type"]) == (403, "/problems/forbidden")
    assert not list(world.settings.eventlog_path.glob("**/*"))
    assert ask(url, "/api/user?user=nobody")[0] == 404
    assert ask(url, "/api/user")[0] == 400


def test_a_page_explores_when_it_is_told_to(url: str, world: World) -> None:
    world.publish({"ann": body(range(40))}, **films(60))

    def tiers(more: str = "") -> set[str]:
        return {item["tier"] for item in json.loads(ask(url, f"/api/user?user=ann{more}")[1])["items"]}

    assert "explored" not in tiers()
    assert "explored" in tiers("&explore=1")


def test_a_page_is_shown_while_the_store_is_away(desk: Desk, url: str, world: World) -> None:
    ask(url, "/api/user?user=ann")
    for store in (desk.store, world.store):
        store.close()
    shutil.rmtree(world.settings.store_path)
    world.settings.store_path.write_text("in the way")
    seen = json.loads(ask(url, "/api/user?user=ann")[1])
    assert (seen["ring"], seen["ring_problem"] != "") == ([], True)
    assert seen["items"][0]["tier"] == "cached"
    assert "cannot be" in json.loads(ask(url, "/api/state")[1])["problem"]


def test_the_command_serves_the_page_on_loopback_alone(world: World) -> None:
    port = free_port()
    command = [sys.executable, "-m", "cli.main", "inspect", "--port", str(port)]
    env = {**os.environ, "TOPSHELF_HOME": str(world.settings.home)}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for_port(port, process, seconds=60)
        assert '"generation":3' in ask(f"http://127.0.0.1:{port}", "/api/state")[1]
        taken = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert taken.returncode == 1
        assert f"port {port} is not to be had" in taken.stderr
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said == b""
