from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from stores.base import Row, StoreFull, StoreUnavailable
from stores.control import Control
from stores.embedded import EmbeddedStore

FIRST = Control.first("a-store")
TAKING_DOWN = """
import sys
from pathlib import Path
from stores.base import ControlConflict
from stores.embedded import EmbeddedStore
from stores.takedowns import take_down
store = EmbeddedStore(Path(sys.argv[1]), 1)
store.read_control()
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    while True:
        try:
            take_down(store, [f"{sys.argv[3]}{number}"])
            break
        except ControlConflict:
            continue
"""


def store_at(path, gib=1):
    return EmbeddedStore(path, map_size_gb=gib)


def test_reading_makes_no_folder(tmp_path):
    store = store_at(tmp_path / "store")
    assert store.read_control() is None
    assert not (tmp_path / "store").exists()


def test_a_path_that_cannot_be_opened_is_unavailable_and_heals(tmp_path):
    path = tmp_path / "store"
    path.write_text("in the way")
    store = store_at(path)
    for call in (store.read_control, lambda: store.ring("ann")):
        with pytest.raises(StoreUnavailable):
            call()
    path.unlink()
    assert store.read_control() is None
    store.swap_control(None, FIRST)
    assert store.read_control() == FIRST
    store.close()


def test_a_full_store_says_which_setting_to_raise(tmp_path, monkeypatch):
    monkeypatch.setattr("stores.lmdb_env.GIB", 1 << 20)
    with store_at(tmp_path / "store") as store:
        store.swap_control(None, replace(FIRST, lease=1))
        with pytest.raises(StoreFull, match="map_size_gb"):
            store.write((Row(f"user{number}", 0, 0, b"x" * 900) for number in range(3000)), 1)
        assert store.count() == 0


def test_a_store_restored_under_the_same_path_is_followed(tmp_path):
    with store_at(tmp_path / "other") as other:
        other.swap_control(None, Control.first("other"))
    with store_at(tmp_path / "store") as store:
        store.swap_control(None, FIRST)
        (tmp_path / "store").rename(tmp_path / "gone")
        (tmp_path / "other").rename(tmp_path / "store")
        assert store.read_control().store_id == "other"


def test_deleted_rows_leave_the_file_while_other_processes_read_and_write(tmp_path):
    """A writer of another process that waited for its turn must not write into the file that was replaced."""
    path, takes = tmp_path / "store", 30
    with store_at(path) as store:
        store.swap_control(None, replace(FIRST, lease=1))
        store.write((Row(f"user{number}", 0, 0, b"x" * 900) for number in range(500)), 1)
        store.write([Row("forgotten-one", 0, 0, b"y" * 900)], 1)
        store.delete("forgotten-one")
        assert b"forgotten-one" in (path / "data.mdb").read_bytes()
        command = [sys.executable, "-c", TAKING_DOWN, str(path), str(takes)]
        writers = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for name in "ab"]
        for writer in writers:
            assert writer.stdout.readline() == b"ready\n"
        for writer in writers:
            writer.stdin.write(b"go\n")
            writer.stdin.close()
        while any(writer.poll() is None for writer in writers):
            store.scrub()
            assert len(store.ring("user7")) == 1
        assert [writer.returncode for writer in writers] == [0, 0]
        assert b"forgotten-one" not in (path / "data.mdb").read_bytes()
        assert store.count() == 500
        names = {f"{name}{number}" for name in "ab" for number in range(takes)}
        assert set(store.read_control().takedowns) == names
        assert sorted(file.name for file in path.iterdir()) == ["data.mdb", "lock.mdb", "opening.lock"]
    for writer in writers:
        writer.stdout.close()


def test_a_failed_batch_leaves_nothing_of_itself(tmp_path):
    with store_at(tmp_path / "store") as store:
        store.swap_control(None, replace(FIRST, lease=1))

        def rows():
            yield Row("ann", 0, 0, b"row")
            raise RuntimeError("the source broke")

        with pytest.raises(RuntimeError):
            store.write(rows(), 1)
        assert store.count() == 0
