"""How the control record may change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.errors import PermanentError
from stores.control import KEPT_GENERATIONS, Control, Trending
from stores.generation import Generation


def made(number: int) -> Generation:
    return Generation(number, f"artefact-{number}", "v1", "2026-11-23T05:00Z", "2026-11-23T06:00:00Z")


def after(*switched: int) -> Control:
    """A record whose attempts 1 … n ended so that those named were switched to."""
    control = Control.first("a-store")
    for number in range(1, max(switched, default=0) + 1):
        control = control.begun(number)
        control = control.switched(made(number)) if number in switched else control.given_up()
    return control


def kept(control: Control) -> list[int]:
    return [generation.number for generation in control.live]


def test_readers_see_what_was_switched_to_and_nothing_of_an_attempt_under_way():
    control = after(1).begun(2)
    assert (control.current, control.lease, control.shows(1), control.shows(2)) == (1, 2, True, False)
    control = control.switched(made(2))
    assert (control.current, control.lease, control.shows(2), kept(control)) == (2, None, True, [2, 1])


def test_an_attempt_that_loses_its_lease_is_never_seen():
    control = after(1).begun(2).begun(3)
    assert (control.lease, control.aborted) == (3, (2,))
    assert not control.switched(made(3)).shows(2)
    with pytest.raises(ValueError, match="does not hold the lease"):
        control.switched(made(2))
    with pytest.raises(ValueError, match="not later"):
        control.begun(3)


def test_as_many_generations_are_kept_as_a_ring_has_rows():
    assert kept(after(1, 2, 3, 4, 5)) == [5, 4, 3]


def test_rolling_back_makes_the_later_ones_bad_and_ends_a_load():
    control = after(1, 2, 3).begun(4).rolled_back()
    assert (control.current, control.bad, control.lease, control.aborted) == (2, (3,), None, (4,))
    assert control.rolled_back().current == 1
    assert after(1, 2, 3).rolled_back(to=1).bad == (2, 3)
    again = after(1, 2, 3).rolled_back().begun(4).switched(made(4))
    assert [number for number in range(1, 5) if again.shows(number)] == [1, 2, 4]
    assert again.rolled_back().current == 2  # not to 3, which is bad


@pytest.mark.parametrize(
    ("control", "to", "why"),
    [
        (Control.first("a-store"), None, "nothing has been published"),
        (after(1), None, "no generation before 1"),
        (after(1, 2), 2, "generation 2 is the current one; of those before the current one, there are 1"),
        (after(1, 2, 3).without(2), 2, "generation 2 is bad"),
        (after(1, 2, 3, 4), 1, "generation 1 is not kept; .* there are 3, 2"),
        (after(1, 2), 9, "generation 9 is not kept"),
    ],
)
def test_where_one_cannot_go_back_to_is_said(control, to, why):
    with pytest.raises(PermanentError, match=why):
        control.rolled_back(to)


def test_a_bad_generation_is_passed_over_wherever_it_stands():
    middle = after(1, 2, 3).without(2)
    assert (middle.current, middle.bad, kept(middle)) == (3, (2,), [3, 1])
    assert after(1, 2, 3).without(3) == after(1, 2, 3).rolled_back()


@pytest.mark.parametrize(
    ("control", "bad", "why"),
    [
        (after(1), 1, "no generation before 1"),
        (after(1, 2, 3).without(2), 2, "bad already"),
        (after(1, 3), 2, "never switched to"),
        (after(1).begun(2), 2, "never switched to"),
        (after(1), 7, "never switched to"),
    ],
)
def test_what_cannot_be_marked_as_bad_is_said(control, bad, why):
    with pytest.raises(PermanentError, match=why):
        control.without(bad)


@pytest.mark.parametrize(
    ("number", "noted", "state"),
    [
        (1, "current", "bad"),
        (2, "verified", "current"),
        (2, "current", "current"),
        (3, "loading", "aborted"),
        (4, "loading", "loading"),
        (0, "current", "retired"),
        (1, "verified", "aborted"),
    ],
)
def test_the_record_corrects_what_was_noted_of_an_attempt(number, noted, state):
    control = after(1, 2).without(1).begun(3).begun(4)
    assert control.state_of(number, noted) == state


def test_a_record_from_before_there_were_takedowns_is_read_and_written_as_it_was():
    text = (
        '{"aborted": [], "attempts": 1, "bad": [], "current": 0, "lease": 1, "live": [], "store_id": "s", "version": 2}'
    )
    assert Control.from_json(text) == Control.first("s").begun(1)
    assert Control.from_json(text).to_json() == text  # stores compare the text


def test_items_are_taken_down_and_put_back_one_by_one():
    control = after(1).with_takedowns(["b", "a", "b"])
    assert (control.takedowns, control.version) == (("a", "b"), after(1).version + 1)
    assert control.without_takedowns(["b", "never"]).takedowns == ("a",)
    assert control.differs_by_operators_only(after(1))
    assert not control.begun(2).differs_by_operators_only(after(1))
    with pytest.raises(PermanentError, match="no item id"):
        control.with_takedowns([""])
    with pytest.raises(PermanentError, match="1,001 items"):
        control.with_takedowns(f"m{number}" for number in range(999))


def test_what_trends_is_written_where_it_changed_and_no_publication_minds():
    control = after(1).with_trending(Trending((3, 1), "2026-01-10T05:20:00+00:00"))
    assert Control.from_json(control.to_json()) == control
    assert control.with_trending(Trending((3, 1), "2026-01-10T05:25:00+00:00")) is control
    assert control.with_trending(Trending((), "2026-01-10T05:25:00+00:00")).version == control.version + 1
    assert control.differs_by_operators_only(after(1))
    with pytest.raises(ValueError, match="201 items trend"):
        control.with_trending(Trending(tuple(range(201)), "2026-01-10T05:25:00+00:00"))


STEPS = st.lists(st.sampled_from(["publish", "abort", "crash", "rollback", "mark"]), max_size=25)


@given(STEPS)
def test_whatever_happens_readers_see_the_current_generation_and_nothing_hidden_comes_back(steps):
    control, hidden = Control.first("a-store").with_takedowns(["m1"]), set()
    for step in steps:
        before = control
        try:
            if step == "publish":
                number = control.attempts + 1
                control = control.begun(number).switched(made(number))
            elif step == "abort":
                control = control.begun(control.attempts + 1).given_up()
            elif step == "crash":
                control = control.begun(control.attempts + 1)
            elif step == "rollback":
                control = control.rolled_back()
            else:
                control = control.without(control.current)
        except PermanentError:
            assert control == before
            continue
        hidden |= {number for number in range(1, control.attempts + 1) if not control.shows(number)} - {control.lease}
        assert control.version > before.version
        assert not any(control.shows(number) for number in hidden)
        assert control.current == 0 or (control.shows(control.current) and control.generation() is not None)
        assert len(control.live) <= KEPT_GENERATIONS
        assert control.takedowns == ("m1",)
        assert Control.from_json(control.to_json()) == control


def test_it_is_known_which_items_a_list_could_have_had():
    def made_of(number, slots):
        return replace(made(number), slots=slots)

    control = Control.first("s")
    for number, slots in ((1, 10), (2, 10), (3, 12), (4, 12)):
        control = control.begun(number).switched(made_of(number, slots))
    assert control.grown == ((1, 10), (3, 12))
    assert [control.slots_at(number) for number in (0, 1, 2, 3, 4)] == [None, 10, 10, 12, 12]
    assert Control.from_json(control.to_json()) == control
    assert '"slots"' not in Control.first("s").begun(1).switched(made(1)).to_json()
