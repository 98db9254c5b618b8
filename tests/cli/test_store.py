from __future__ import annotations

import json
import os
from pathlib import Path

from conf.loading import load
from stores.control import Control
from stores.opening import open_store
from tests.cli.conftest import Topshelf


def test_a_store_is_missing_until_it_is_created(topshelf: Topshelf, home: Path) -> None:
    missing = topshelf("store", "check")
    assert missing.exit_code == 1
    assert "`topshelf store create` makes it" in missing.stderr
    assert not (home / "store").exists()

    made = topshelf("store", "create")
    assert made.exit_code == 0
    assert made.stdout.startswith(f"embedded store {home / 'store'}: 0 rows, ")

    checked = topshelf("store", "check", "--json")
    assert json.loads(checked.stdout) == {"kind": "embedded", "found": made.stdout.strip()}


def test_creating_again_keeps_what_is_there(topshelf: Topshelf) -> None:
    topshelf("store", "create")
    with open_store(load(os.environ).settings) as store:
        store.swap_control(None, Control.first("s"))
    assert topshelf("store", "create").exit_code == 0
    with open_store(load(os.environ).settings) as store:
        assert store.read_control() == Control.first("s")
