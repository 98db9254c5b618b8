"""The switch on a control record that others touch meanwhile."""

from __future__ import annotations

import pytest

from jobs.switch import still_held, switch
from stores.base import ControlConflict, StoreTimeout
from stores.control import Control
from stores.embedded import EmbeddedStore
from stores.generation import Generation
from stores.takedowns import take_down

MADE = Generation(1, "artefact", "v1", "2026-11-23T05:00Z", "2026-11-23T06:00:00Z")


@pytest.fixture
def leased(tmp_path):
    """A store whose lease is with attempt 1, and its control record."""
    with EmbeddedStore(tmp_path / "store", map_size_gb=1) as store:
        first = Control.first("a-store")
        store.swap_control(None, first)
        store.swap_control(first, first.begun(1))
        yield store, first.begun(1)


def test_items_taken_down_during_a_load_do_not_end_it(leased):
    store, control = leased
    take_down(store, ["m1"])
    after = switch(store, control, MADE)
    assert after == store.read_control()
    assert (after.current, after.lease, after.takedowns) == (1, None, ("m1",))


def test_items_taken_down_at_the_very_moment_of_the_switch_are_kept(leased, monkeypatch):
    store, control = leased
    swap = store.swap_control

    def overtaken(expected, new):
        monkeypatch.setattr(store, "swap_control", swap)
        take_down(store, ["m1"])
        swap(expected, new)

    monkeypatch.setattr(store, "swap_control", overtaken)
    assert switch(store, control, MADE).takedowns == ("m1",)
    assert store.read_control().current == 1


def test_another_lease_or_a_rollback_ends_it(leased):
    store, control = leased
    store.swap_control(control, control.begun(2))
    with pytest.raises(ControlConflict, match="changed by another"):
        switch(store, control, MADE)
    assert store.read_control() == control.begun(2)
    assert not still_held(None, control)


@pytest.mark.parametrize("done", [True, False])
def test_a_lost_answer_is_looked_for(leased, monkeypatch, done):
    store, control = leased
    swap = store.swap_control

    def lost(expected, new):
        if done:
            swap(expected, new)
        raise StoreTimeout("the answer was lost")

    monkeypatch.setattr(store, "swap_control", lost)
    if done:
        assert switch(store, control, MADE).current == 1
    else:
        with pytest.raises(StoreTimeout):
            switch(store, control, MADE)
