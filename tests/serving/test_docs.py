"""The page of the API, in a real browser."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server

from serving.openapi import DOCUMENT
from tests.services import require_program


@pytest.fixture
def url(client):
    with make_server("127.0.0.1", 0, client.app, threaded=True) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_page_draws_every_operation_on_a_phone_and_loads_nothing_from_elsewhere(url):
    asked, said = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require_program("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{url}/docs")
        page.wait_for_selector("article:last-of-type details")
        drawn = page.locator("article").evaluate_all("all => all.map(one => one.id)")
        width, shown = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        event = page.locator("#postEvents").inner_text()
        browser.close()
    operations = {one["operationId"] for item in DOCUMENT["paths"].values() for one in item.values()}
    assert set(drawn) == operations
    assert len(drawn) == len(operations)
    assert said == []
    assert asked == [f"{url}/docs", f"{url}/openapi.json"]
    assert width == shown
    assert paper == "rgb(18, 22, 28)"
    assert '"item_id": "movie_123"' in event
    assert "list of Event · 1 to 500 entries · required" in event
