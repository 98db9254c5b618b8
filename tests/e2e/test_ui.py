"""The Dagster UI as an operator opens it, in a real Chromium."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.services import require_program
from tests.services.ports import free_port, wait_for_port

pytestmark = pytest.mark.timeout(600)
GROUPS = [f"global%40global%3A{group}" for group in ("data", "features", "training", "lists")]
SLOW = 120_000
"""Milliseconds to wait for what a loaded machine is slow to show."""


@pytest.fixture(scope="module")
def ui(home: Path, first_run: str) -> Iterator[str]:
    """Address of `topshelf ui` over the home of the first run."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "ui", "--port", str(port)],
        env={**os.environ, "TOPSHELF_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for_port(port, process, seconds=180)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


@pytest.fixture
def page(ui: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require_program("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser.new_page(viewport={"width": 1600, "height": 1000})
        browser.close()


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
