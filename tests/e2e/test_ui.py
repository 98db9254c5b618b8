"""The Dagster UI as an operator opens it, in a real Chromium."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.services.ports import free_port, wait_for_port

pytestmark = pytest.mark.timeout(600)
GROUPS = [f"global%40global%3A{group}" for group in ("data", "features", "training", "lists")]
SLOW = 120_000
"""Milliseconds to wait for what a loaded machine is slow to show."""


@pytest.fixture(scope="module")
def addresses(home: Path, first_run: str) -> Iterator[tuple[str, str]]:
    """Of the first page and of Dagster, by `topshelf ui` over the home of the first run."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "ui", "--port", str(port), "--front-port", "0"],
        # The record ends with the hour that ran: by the clock, another one may be over by now.
        env={
            **os.environ,
            "TOPSHELF_HOME": str(home),
            "TOPSHELF_DATA__PARTITIONS_END": json.loads(first_run)["hour"],
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    try:
        assert process.stdout is not None
        front = process.stdout.readline().split()[-1]
        wait_for_port(port, process, seconds=180)
        yield front, f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    with socket.socket() as gone:
        assert gone.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def front(addresses: tuple[str, str]) -> str:
    return addresses[0]


@pytest.fixture
def ui(addresses: tuple[str, str]) -> str:
    return addresses[1]


@pytest.fixture
def page(browser: Browser, ui: str) -> Iterator[Page]:
    with browser.new_page(viewport={"width": 1600, "height": 1000}) as page:
        yield page


def test_the_asset_graph_shows_the_way_from_events_to_lists(ui: str, page: Page) -> None:
    page.goto(f"{ui}/asset-groups?expanded={','.join(GROUPS)}")
    for asset in ("events", "user_features", "models", "recommendations", "published"):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible(timeout=SLOW)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_an_asset_tells_its_columns_and_what_its_last_run_measured(ui: str, page: Page) -> None:
    page.goto(f"{ui}/assets/models")
    expect(page.get_by_text("offline_recall").first).to_be_visible(timeout=SLOW)
    page.goto(f"{ui}/assets/models?view=events")
    expect(page.get_by_text("hold-out").first).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("learning", exact=True).first).to_be_visible(timeout=SLOW)


def test_every_asset_has_an_owner_and_shows_rows_of_its_table(ui: str, page: Page) -> None:
    page.goto(f"{ui}/assets/popularity?view=events")
    expect(page.get_by_text("sample rows", exact=True).first).to_be_visible(timeout=SLOW)
    expect(page.get_by_text("popularity by rank", exact=True).first).to_be_visible(timeout=SLOW)
    page.goto(f"{ui}/assets/items")
    expect(page.get_by_text("recommendations", exact=True).first).to_be_visible(timeout=SLOW)


def test_the_first_page_leads_to_the_run_that_published(front: str, ui: str, page: Page) -> None:
    page.goto(front)
    expect(page.locator(".short").first).to_have_text("Yes")
    expect(page.locator(".short").nth(2)).to_contain_text("lists")
    page.locator(".answer").first.get_by_role("link", name="The run").click()
    expect(page.get_by_text("published", exact=True).first).to_be_visible(timeout=SLOW)
    assert page.url.startswith(f"{ui}/runs/")
