"""An operator who goes back a generation while the next one is being loaded."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from jobs import load
from jobs.rollback import roll_back
from stores.base import LeaseLost
from tests.faults.conftest import LONG
from tests.faults.driver import check_store
from tests.faults.publishing import interrupted, watched
from tests.faults.world import World
from tests.services.stores import settings_for

PATIENCE_SECONDS = 120.0


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not file.exists():
        assert time.monotonic() < deadline, f"{file.name} did not come"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("kind", "users"),
    [
        ("embedded", 60),
        *(pytest.param(kind, 2000, marks=LONG) for kind in ("embedded", "dynamodb", "scylla")),
    ],
)
def test_a_rollback_in_mid_load(kind, users, request, settings, lake, table, tmp_path, monkeypatch):
    reached, released = tmp_path / "reached", tmp_path / "released"
    world = World(users)
    chosen = settings_for(request, settings, kind)
    with watched(chosen, lake, world, tmp_path) as (publications, watch):
        publications.run(1, publications.score(1))
        store = publications.store

        def go_back() -> None:
            wait_for(reached)
            assert roll_back(publications.settings, lake.root, store, None).after.current == 1
            check_store(store, world, 0)
            watch.wait_for()
            released.touch()

        def hold() -> None:
            reached.touch()
            wait_for(released)

        operator = threading.Thread(target=go_back)
        operator.start()
        with monkeypatch.context() as patched:
            patched.setattr(load, "_rows", interrupted(users // 20, hold))
            with pytest.raises(LeaseLost, match="attempt 3 was stopped: an operator ended it"):
                publications.run(2, publications.score(2))
        operator.join()
        check_store(store, world, 0)
        publications.recover(3)
        watch.wait_for()
    assert watch.found.generations == [1, 2, 1, 4]
    table.add("rollback in mid-load", kind, watch.found, publications.recovered)
