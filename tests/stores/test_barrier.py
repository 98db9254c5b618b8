"""The barrier list: who is on it, and until when the control record has to have them."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.errors import PermanentError
from stores.barrier import Barrier, hash_of
from stores.control import Control
from stores.generation import Generation

KEY = "ab" * 32


def barrier(*users: str, now: int = 1) -> Barrier:
    return Barrier(KEY).with_users(users, now)


def test_a_user_is_known_by_hash_alone():
    held = barrier("ann")
    digest = hmac.new(bytes.fromhex(KEY), b"ann", hashlib.sha256).hexdigest()
    assert hash_of(held.secret, "ann") == int(digest[:16], 16)
    assert held.bars("ann")
    assert not held.bars("bob")
    assert not replace(held, key="cd" * 32).bars("ann")
    text = replace(Control.first("s"), barrier=held).to_json()
    assert "ann" not in text
    assert digest[:16] in text


def test_moments_rise_whatever_the_clock_says():
    held = barrier("ann", "bob", now=10)
    later = held.with_users(["cat"], 3).with_users(["ann"], 3)
    assert [moment for moment, _ in later.entries] == sorted({moment for moment, _ in later.entries})
    assert later.moment == later.entries[-1][0] > held.moment
    assert all(later.bars(user) for user in ("ann", "bob", "cat"))


def test_more_than_a_thousand_are_refused_with_what_to_do():
    full = barrier(*(f"user{number}" for number in range(1000)))
    assert len(full.with_users(["user7"], 2).entries) == 1000
    with pytest.raises(PermanentError, match="1,001 users would be on the barrier list"):
        full.with_users(["one more"], 2)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("forget"), st.sampled_from("abcdef")),
        st.tuples(st.sampled_from(["build", "publish", "abort", "rollback"]), st.none()),
    ),
    max_size=30,
)


@given(STEPS)
def test_whatever_generation_is_shown_everybody_forgotten_is_barred(steps):
    """An artefact is built from the record at some time, and may be published, or gone back to, much later."""
    control, forgotten, built = Control.first("s"), set(), (frozenset(), 0)
    table: set[int] = set()
    artefacts: dict[int, frozenset[int]] = {}
    for step, user in steps:
        if step == "forget":
            control = control.with_forgotten([user], 1, KEY)
            forgotten.add(user)
        elif step == "build":
            table |= control.barrier.hashes if control.barrier else set()
            built = frozenset(table), control.barrier.moment if control.barrier else 0
        elif step == "publish":
            number = control.attempts + 1
            artefacts[number] = built[0]
            made = Generation(number, f"a{number}", "v1", "2026-11-23T05:00Z", "2026-11-23T06:00:00Z", barred=built[1])
            control = control.begun(number).switched(made)
        elif step == "abort":
            control = control.begun(control.attempts + 1).given_up()
        elif any(generation.number < control.current for generation in control.live):
            control = control.rolled_back()
        for generation in control.live:
            for name in forgotten:
                assert control.bars(name) or control.barrier.hash_of(name) in artefacts[generation.number]
        assert Control.from_json(control.to_json()) == control


def test_an_entry_leaves_the_record_once_all_that_can_be_shown_has_it():
    control = Control.first("s").with_forgotten(["ann"], 7, KEY)
    for number, barred in ((1, 0), (2, 7), (3, 7)):
        made = Generation(number, "a", "v1", "2026-11-23T05:00Z", "2026-11-23T06:00:00Z", barred=barred)
        control = control.begun(number).switched(made)
        assert control.bars("ann")
    made = replace(made, number=4)
    control = control.begun(4).switched(made)  # the first is not kept any more
    assert not control.bars("ann")
    assert control.barrier == Barrier(KEY, 7)  # the key is
    assert Control.from_json(control.to_json()) == control
