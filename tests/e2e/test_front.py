"""The first page of `topshelf ui` in a real Chromium: with a publication, before the first, with the store away."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from cli.inspecting.app import create_inspect_app
from cli.inspecting.desk import Desk
from conf.rules import load_rules
from conf.settings import Settings
from stores.opening import open_store
from tests.serving.conftest import ANN, NOW, World
from tests.serving.conftest import home as settings_of

DAGSTER = "http://127.0.0.1:3000"
PHONE, DESKTOP = (390, 844), (1440, 900)
Open = Callable[..., Page]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a home whose data began three hours before what is published."""
    found = settings_of(tmp_path)
    start = NOW.replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
    return found.model_copy(update={"data": found.data.model_copy(update={"partitions_start": start})})


@pytest.fixture
def front(browser: Browser, settings: Settings) -> Iterator[Open]:
    """Opens the page at a size. Whatever it complains of fails the test."""
    said: list[str] = []
    with ExitStack() as stack:
        desk = stack.enter_context(Desk(settings, load_rules(), NOW.timestamp))
        app = create_inspect_app(desk, dagster=DAGSTER)
        server = stack.enter_context(make_server("127.0.0.1", 0, app, threaded=True))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)

        def go(size: tuple[int, int] = DESKTOP) -> Page:
            page = stack.enter_context(browser.new_page(viewport={"width": size[0], "height": size[1]}))
            page.on("console", lambda message: said.append(message.text))
            page.goto(f"http://127.0.0.1:{server.server_port}/now")
            return page

        yield go
    assert said == []


def short(page: Page) -> list[str]:
    return page.locator(".short").all_inner_texts()


def test_before_the_first_publication_it_says_what_to_type(front: Open) -> None:
    page = front()
    assert short(page) == ["Nothing yet", "Nothing to see", "Nothing yet", "Nothing yet"]
    expect(page.locator(".answer").first).to_contain_text("topshelf run publishes the first hour")


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_a_publication_is_told_of_and_nothing_scrolls_sideways(
    front: Open, settings: Settings, size: tuple[int, int]
) -> None:
    with open_store(settings) as store:
        World(settings, store).publish({"ann": ANN})
    page = front(size)
    assert len(short(page)) == 4
    expect(page.locator(".answer").first).to_contain_text("generation 1")
    expect(page.get_by_role("link", name="Runs", exact=True)).to_have_attribute("href", f"{DAGSTER}/runs")
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    page.get_by_role("link", name="Users").click()
    expect(page).to_have_title("Topshelf · Inspect")


def test_a_store_that_is_away_and_a_ledger_that_is_broken_are_told_of(front: Open, settings: Settings) -> None:
    shutil.rmtree(settings.store_path, ignore_errors=True)
    settings.store_path.parent.mkdir(parents=True, exist_ok=True)
    settings.store_path.write_text("in the way")
    log = Path(settings.lake_root) / "publications" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("no commit")
    page = front()
    assert short(page)[:3] == ["Not known"] * 3
    expect(page.get_by_role("heading", name="This asks for a hand")).to_be_visible()
    expect(page.locator(".wanting li")).to_have_count(2)
