from __future__ import annotations

from dataclasses import replace

import pytest

from stores.base import Row, StoreFull, StoreUnavailable
from stores.control import Control
from stores.embedded import EmbeddedStore

FIRST = Control.first("a-store")


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


def test_a_failed_batch_leaves_nothing_of_itself(tmp_path):
    with store_at(tmp_path / "store") as store:
        store.swap_control(None, replace(FIRST, lease=1))

        def rows():
            yield Row("ann", 0, 0, b"row")
            raise RuntimeError("the source broke")

        with pytest.raises(RuntimeError):
            store.write(rows(), 1)
        assert store.count() == 0
