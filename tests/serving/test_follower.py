"""What is served while artefacts, control record and store come and go."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from conf.errors import RetryableError
from serving.follower import LAST_CONTROL_FILE, Follower
from serving.metrics import Metrics
from stores.base import StoreUnavailable
from stores.takedowns import put_back, take_down


class Away:
    """A store that cannot be reached."""

    def read_control(self):
        raise StoreUnavailable("the store is away")


@pytest.fixture
def follow(world):
    """Makes a follower of the world, or of another store, after its first look."""

    def make(store=None):
        follower = Follower(store or world.store, world.settings.artefacts_path, 60, Metrics())
        follower.poll()
        return follower

    return make


@pytest.fixture
def folder(world):
    """The artefact of the current generation."""
    return lambda: world.settings.artefacts_path / world.store.read_control().generation().artefact_id


def served(follower):
    return follower.snapshot.generation.number


def swap(world, change):
    held = world.store.read_control()
    world.store.swap_control(held, change(held))


def test_the_generation_before_is_kept_for_pages_that_were_begun(world, follow):
    follower = follow()
    first = follower.snapshot.artefact
    world.publish({}, model_version="v2")
    follower.poll()
    assert (served(follower), follower.snapshot_of(2)) == (2, follower.snapshot)
    before = follower.snapshot_of(1)
    assert (before.artefact, before.control.current, before.control.shows(2)) == (first, 1, False)
    world.publish({}, model_version="v3")
    follower.poll()
    assert [follower.snapshot_of(number) is not None for number in range(5)] == [False, False, True, True, False]
    assert follow().snapshot_of(2) is None  # a process that never had it


def test_a_bad_generation_is_gone_at_once(world, follow):
    follower = follow()
    world.publish({}, model_version="v2")
    follower.poll()
    swap(world, lambda held: replace(held, version=held.version + 1, current=1, bad=(2,)))
    follower.poll()
    assert (served(follower), follower.snapshot_of(2)) == (1, None)
    assert follower.snapshot_of(1) is follower.snapshot


def test_a_takedown_holds_for_pages_of_the_generation_before_too(world, follow):
    follower = follow()
    world.publish({}, model_version="v2")
    follower.poll()
    take_down(world.store, ["m4", "not in any catalogue"])
    follower.poll()
    assert [follower.snapshot_of(number).active[4] for number in (1, 2)] == [False, False]
    assert follower.snapshot.active.sum() == follower.snapshot.artefact.active.sum() - 1
    put_back(world.store, ["m4", "not in any catalogue"])
    follower.poll()
    assert follower.snapshot.active is follower.snapshot.artefact.active


@pytest.mark.parametrize("damage", ["missing", "a file is missing", "half a file"])
def test_a_generation_whose_artefact_is_half_there_waits_and_takedowns_hold_meanwhile(world, follow, folder, damage):
    follower = follow()
    world.publish({}, model_version="v2")
    whole = folder()
    aside = whole.rename(whole.with_name(".aside"))
    if damage != "missing":
        shutil.copytree(aside, whole)
        (whole / "active.npy").unlink()
    if damage == "half a file":
        (whole / "active.npy").write_bytes((aside / "active.npy").read_bytes()[:-3])
    take_down(world.store, ["m4"])
    for _ in range(2):
        follower.poll()
        assert served(follower) == 1
        assert follower.problem is not None
        assert follower.lasting
        assert not follower.snapshot.active[4]
    kept = follower.snapshot
    follower.poll()
    assert follower.snapshot is kept  # nothing is worked out again, or read again, every second
    assert served(follow()) == 1  # so does a process that starts now
    shutil.rmtree(whole, ignore_errors=True)
    aside.rename(whole)
    follower.poll()
    assert (served(follower), follower.problem) == (2, None)


def test_where_no_good_generation_can_be_loaded_the_catalogue_at_hand_goes_on_without_bad_rows(world, follow, folder):
    shutil.move(folder(), folder().with_name(".aside"))
    world.publish({}, model_version="v2")
    follower = follow()
    swap(world, lambda held: replace(held, version=held.version + 1, current=1, bad=(2,)))
    follower.poll()
    assert (served(follower), follower.snapshot.artefact.model_version) == (1, "v2")
    assert not follower.snapshot.control.shows(2)
    assert "cannot be read" in follower.problem


def test_a_control_record_that_is_deleted_stays_as_it_was(world, follow):
    follower = follow()
    take_down(world.store, ["m4"])
    follower.poll()

    class Emptied:
        def read_control(self):
            return None

    follower._store = Emptied()
    follower.poll()
    assert (served(follower), bool(follower.snapshot.active[4])) == (1, False)
    assert "no control record any more" in follower.problem
    restarted = follow(Emptied())
    assert (served(restarted), bool(restarted.snapshot.active[4])) == (1, False)


def test_a_process_that_never_saw_a_control_record_serves_the_newest_whole_artefact_and_no_rows(world, follow, folder):
    world.publish({}, model_version="v2", made_for="2026-11-23T13:00Z")
    world.publish({}, model_version="v3", made_for="2026-11-23T14:00Z")
    (folder() / "active.npy").write_bytes(b"half")
    remembered = world.settings.artefacts_path / LAST_CONTROL_FILE
    assert not remembered.exists()
    for text in (None, "not JSON", json.dumps({"version": 1})):
        if text is not None:
            remembered.write_text(text)
        follower = follow(Away())
        snapshot = follower.snapshot
        assert (snapshot.generation.number, snapshot.artefact.model_version) == (0, "v2")
        assert not any(snapshot.control.shows(number) for number in range(1, 4))
        assert follower.problem == "the store is away"
    follower._store = world.store
    follower.poll()
    assert served(follower) == 2  # 3 is the damaged one


def test_without_artefacts_there_is_nothing_to_serve(world, follow):
    shutil.rmtree(world.settings.artefacts_path)
    follower = follow(Away())
    assert (follower.snapshot, follower.lasting) == (None, False)


def test_the_record_is_remembered_with_its_takedowns(world, follow):
    take_down(world.store, ["m4"])
    follow()
    assert not follow(Away()).snapshot.active[4]


def test_looks_that_fail_are_counted_and_told(world, follow):
    follower = follow()
    value = follower._metrics._registry.get_sample_value
    assert value("topshelf_following") == 1
    follower._store = Away()
    follower.poll()
    assert (value("topshelf_following"), value("topshelf_follow_failures_total")) == (0, 1)


def test_a_fault_of_ours_does_not_end_the_thread(world, follow):
    follower = follow()
    follower._interval = 0.001

    class Odd:
        looks = 0

        def read_control(self):
            self.looks += 1
            if self.looks < 3:
                raise ZeroDivisionError("odd")
            follower._stop.set()
            raise RetryableError("even")

    follower._store = Odd()
    follower.start()
    follower._thread.join(10)
    assert (follower._store.looks, follower.problem) == (3, "even")
