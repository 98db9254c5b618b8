"""The real service: gunicorn with two workers over a real store."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from conf.errors import PermanentError
from serving.local import ServiceFailed, serve_once
from stores.eventlog.embedded import read, sealed_and_open_segments
from stores.opening import open_store

HOME = "/api/v1/recommendations"
EVENTS = "/api/v1/events"
PATIENCE = 20.0


@pytest.fixture(scope="module")
def running(tmp_path_factory, make_home, new_world, rules):
    """A published world, the address of its service, and the run's folder."""
    settings = make_home(tmp_path_factory.mktemp("service"), "serving.workers=2", "serving.threads=4")
    with open_store(settings) as store:
        world = new_world(settings, store)
        world.publish({})
        with serve_once(settings, rules) as url:
            yield world, url


@pytest.fixture
def world(running):
    return running[0]


@pytest.fixture
def url(running):
    return running[1]


@pytest.fixture
def token(world):
    return lambda user: world.token(user, at=datetime.now(UTC))


def event(item_id, kind="watch"):
    return {"event_type": kind, "item_id": item_id, "timestamp": datetime.now(UTC).isoformat()}


def workers(world):
    """Process numbers of the workers: the children of gunicorn, which names its run's folder."""
    (folder,) = (world.settings.home / "run").iterdir()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
            parent = int((path.parent / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if any(str(folder) in word for word in words) and parent != os.getpid():
            found.append(int(path.parent.name))
    return sorted(found)


def until(condition):
    """Wait for something that another process does."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def everywhere(fetch, url, token, count=24):
    """Answers over many new connections at once, so that every worker gives some."""
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(fetch(url, token)[2])) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == count
    return answers


def shown(answer):
    return [item["item_id"] for item in answer["recommendations"]]


def test_a_new_generation_is_followed_without_a_restart(world, url, token, http, make_body):
    until(lambda: len(workers(world)) == 2)
    before = workers(world)
    world.publish({"fay": make_body([7])})
    until(lambda: {a["generation"] for a in everywhere(http, url + HOME, token("fay"), 8)} == {world.generation})
    assert {shown(answer)[0] for answer in everywhere(http, url + HOME, token("fay"))} == {"m7"}
    assert workers(world) == before


def test_an_event_is_reflected_by_the_next_answer_of_every_worker(url, token, http):
    mine = token("eve")
    assert "m0" in shown(http(url + HOME, mine)[2])
    assert http(url + EVENTS, mine, "POST", event("m0"))[0] == 202
    assert not any("m0" in shown(answer) for answer in everywhere(http, url + HOME, mine))


def test_no_event_is_lost_when_workers_are_killed(world, url, token, http):
    mine, taken, stop = token("kim"), [], threading.Event()

    def send():
        while not stop.is_set():
            try:
                status, _, answer = http(url + EVENTS, mine, "POST", event("m1", "click"))
            except (OSError, ValueError, HTTPException):
                continue  # its worker was killed before it answered: nothing was promised
            if status == 202:
                taken.append(answer["event_id"])

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    for _ in range(3):
        count, victims = len(taken), workers(world)
        until(lambda count=count: len(taken) > count + 5)
        os.kill(victims[0], signal.SIGKILL)
        until(lambda victims=victims: len(workers(world)) == 2 and workers(world) != victims)
    stop.set()
    for sender in senders:
        sender.join()
    segments = sealed_and_open_segments(world.settings.eventlog_path)
    logged = {found["event_id"] for segment in segments for found in read(segment)[0]}
    assert set(taken) <= logged
    assert any(segment.sealed for segment in segments)


def test_metrics_add_up_over_all_workers(url, token, http):
    def answered():
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname, parts.port, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        wanted = 'topshelf_requests_total{route="/api/v1/recommendations",status="200"}'
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(wanted))

    before = answered()
    everywhere(http, url + HOME, token("sum"), 40)
    assert answered() == before + 40


def test_over_http_errors_are_problem_documents_too(url, http):
    for path, status in ((HOME, 401), ("/nothing", 404), ("/api/v1/items/nothing/similar", 404)):
        found, headers, answer = http(url + path)
        assert (found, headers["Content-Type"], answer["status"]) == (status, "application/problem+json", status)


def test_a_service_whose_store_is_gone_starts_serves_and_heals(tmp_path, make_home, new_world, rules, http, make_body):
    settings = make_home(tmp_path, "serving.workers=1")
    with open_store(settings) as store:
        world = new_world(settings, store)
        world.publish({"ann": make_body([7])})
        control = store.read_control()
    (settings.artefacts_path / "last-control.json").write_text(control.to_json())
    away = settings.store_path.rename(tmp_path / "away")
    settings.store_path.write_text("in the way")
    mine = world.token("ann", at=datetime.now(UTC))
    with serve_once(settings, rules, wait_ready=False) as url:
        status, _, answer = http(url + HOME, mine)
        assert (status, answer["source"], shown(answer)[0]) == (200, "popular", "m0")
        status, _, answer = http(url + "/readyz")
        assert (status, answer["status"]) == (200, "degraded")
        assert "cannot be opened" in answer["problem"]
        settings.store_path.unlink()
        away.rename(settings.store_path)
        until(lambda: http(url + "/readyz")[2]["status"] == "ready")
        assert shown(http(url + HOME, mine)[2])[0] == "m7"


def test_a_service_that_cannot_start_says_why(tmp_path, make_home, rules):
    settings = make_home(tmp_path, "serving.token_secret=short", "serving.workers=1")
    with pytest.raises(ServiceFailed, match=r"serving\.token_secret"), serve_once(settings, rules):
        raise AssertionError("it must not get here")


def test_its_process_is_light_and_its_folder_private(world):
    import subprocess
    import sys

    code = "import sys, serving.wsgi; print([m for m in sys.modules if '.' not in m])"
    root = Path(__file__).parents[2]
    loaded = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    heavy = {"torch", "pyspark", "pandas", "faiss", "delta", "dagster", "pyarrow"}
    assert not heavy & set(json.loads(loaded.replace("'", '"')))
    (folder,) = (world.settings.home / "run").iterdir()
    assert folder.stat().st_mode & 0o077 == 0


def test_an_artefact_that_is_gone_is_not_to_be_tried_again(tmp_path, make_home, new_world, rules, monkeypatch):
    monkeypatch.setattr("serving.local.START_SECONDS", 4.0)
    settings = make_home(tmp_path, "serving.workers=1")
    with open_store(settings) as store:
        new_world(settings, store).publish({})
    shutil.rmtree(settings.artefacts_path)
    with pytest.raises(PermanentError, match="`topshelf run --republish` writes it anew"), serve_once(settings, rules):
        raise AssertionError("it must not get here")
