from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from stores.eventlog.framing import read, sealed_and_open_segments
from stores.shown.embedded import EmbeddedShownLog

ROOT = Path(__file__).parents[3]


def page(number=0, **changes):
    return {
        "request_id": f"req_{number}", "user_id": "ann", "context": "home", "timestamp": 1000.5 + number,
        "item_no": np.array([1, 0], np.int32), "catalogue": ["alien", "brazil"], "positions": range(2),
        "propensities": [None, np.float32(0.25)], "tiers": ["personalized", "exploration"], "generation": 41,
        "model_version": "v3", "assigned": "champion", "variant": "champion", "offset": 0, **changes,
    }  # fmt: skip


@pytest.fixture
def root(tmp_path):
    return tmp_path / "shown"


@pytest.fixture
def drops():
    return []


@pytest.fixture
def open_log(root, drops):
    opened = []

    def make(buffer=100, **options):
        opened.append(EmbeddedShownLog(root, f"w{len(opened)}", buffer, drops.append, **options))
        return opened[-1]

    yield make
    for log in opened:
        log.close()


def pages(root):
    return [page for segment in sealed_and_open_segments(root) for page in read(segment)[0]]


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def hold_writes(monkeypatch):
    """No write goes on before the event is set."""
    go, write = threading.Event(), os.write
    monkeypatch.setattr(os, "write", lambda *given: go.wait(10) and write(*given))
    return go


def test_a_page_is_logged_as_it_was_shown(root, open_log, drops):
    log = open_log()
    log.add(page())
    log.close()
    assert pages(root) == [
        {
            "request_id": "req_0", "user_id": "ann", "context": "home", "timestamp": 1000.5,
            "item_ids": ["brazil", "alien"], "positions": [0, 1], "propensities": [None, 0.25],
            "tiers": ["personalized", "exploration"], "generation": 41, "model_version": "v3",
            "assigned": "champion", "variant": "champion", "offset": 0,
        }
    ]  # fmt: skip
    assert drops == []


def test_pages_are_written_within_a_second_without_a_close(root, open_log):
    open_log().add(page())
    started = time.monotonic()
    wait_for(lambda: pages(root))
    assert time.monotonic() - started < 2


def test_a_full_buffer_drops_counts_and_leaves_a_note(root, open_log, drops, monkeypatch):
    go = hold_writes(monkeypatch)
    log = open_log(buffer=2)
    log.add(page(0))
    wait_for(lambda: not log._waiting)  # being written
    for number in range(1, 6):
        log.add(page(number))
    assert drops == [1, 1, 1]
    go.set()
    log.close()
    assert [(page["request_id"], page.get("dropped", 0)) for page in pages(root)] == [
        ("req_0", 0), ("req_1", 3), ("req_2", 0),
    ]  # fmt: skip


def test_a_log_that_cannot_be_written_drops_and_goes_on_when_it_can(root, open_log, drops):
    root.write_text("in the way")
    log = open_log()
    log.add(page(0))
    wait_for(lambda: drops == [1])
    root.unlink()
    log.add(page(1))
    log.close()
    assert [(page["request_id"], page["dropped"]) for page in pages(root)] == [("req_1", 1)]


def test_what_is_no_page_costs_only_itself(root, open_log, drops):
    log = open_log()
    log.add({})
    log.add(page(1, item_no=[7]))
    log.add(page(2))
    log.close()
    assert [page["request_id"] for page in pages(root)] == ["req_2"]
    assert drops == [1, 1]


def test_a_closed_log_drops(root, open_log, drops):
    log = open_log()
    log.close()
    log.add(page())
    assert drops == [1]
    assert not root.exists()


def test_pages_of_many_threads_are_all_there(root, open_log, drops):
    log = open_log(buffer=10_000)
    threads = [threading.Thread(target=lambda: [log.add(page(n)) for n in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert sorted(page["request_id"] for page in pages(root)) == sorted([f"req_{n}" for n in range(200)] * 4)
    assert drops == []


def test_names_of_segments_are_not_used_again_after_their_removal(root, open_log):
    log = open_log()
    for number in range(2):
        log.add(page(number))
        wait_for(lambda number=number: [page["request_id"] for page in pages(root)] == [f"req_{number}"])
        (segment,) = sealed_and_open_segments(root)
        segment.path.unlink()
        assert segment.name == f"w0-0000000{number + 1}"


def test_a_kill_loses_no_page_older_than_a_second_and_seals_the_segment(root):
    code = (
        "import sys; from pathlib import Path; from stores.shown.embedded import EmbeddedShownLog\n"
        "from tests.stores.shown.test_embedded import page\n"
        f"log = EmbeddedShownLog(Path({str(root)!r}), 'child', 10, print)\n"
        "log.add(page()); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=-1, cwd=ROOT)
    wait_for(lambda: pages(root))
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert [segment.sealed for segment in sealed_and_open_segments(root)] == [True]
    assert len(pages(root)) == 1
