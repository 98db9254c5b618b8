"""Publication into the embedded store: what is planned, what readers see, what a failure or a crash leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from conf.errors import DataError, PermanentError
from jobs import attempt
from jobs.cost import OverBudget
from jobs.gate import GateFailed
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.load import Load
from jobs.tables import PLANS, PUBLICATIONS, PUBLISHED, REFUSALS
from stores.base import LeaseLost, Row, Store, StoreTimeout, StoreUnavailable
from stores.control import Control
from stores.opening import open_store
from tests.jobs.publishing import FIRST, HISTORY, Publisher, hour, open_gate, recommend

pytestmark = pytest.mark.timeout(600)  # the first test waits for the history of all


@pytest.fixture
def store(settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        yield opened


@pytest.fixture
def publisher(lake, settings, store) -> Publisher:
    return Publisher(lake, open_gate(settings), store)


def dies(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def change(store: Store, **fields: object) -> None:
    control = store.read_control()
    assert control is not None
    store.swap_control(control, replace(control, version=control.version + 1, **fields))


def roll_back(store: Store, to: int | None = None) -> None:
    control = store.read_control()
    assert control is not None
    store.swap_control(control, control.rolled_back(to))


def test_only_what_changed_is_written_and_readers_switch_at_once(history, after):
    first, publisher = history[0][0], after(1)
    assert (first.generation, first.planned, first.written, first.rejected) == (1, 2, 2, 0)
    assert publisher.served("ann", "bob", "eve") == [[1], [2], None]

    again = publisher(FIRST, HISTORY[0])
    assert (again.generation, again.state, again.planned) == (None, "unchanged", 0)

    second = publisher(4, {"ann": [2, 1]}, unchanged=1)
    assert (second.generation, second.scored, second.changed, second.unchanged) == (2, 2, 1, 1)
    assert (second.planned, second.written, second.compared) == (1, 1, 1)
    assert publisher.served("ann", "bob") == [[2, 1], [2]]
    assert publisher.store.count() == 3  # ann's new row stands beside her old one
    assert publisher.published() == {"ann": (2, 1, [2, 1]), "bob": (1, 0, [2])}
    assert publisher.states() == {1: "retired", 2: "current"}
    assert publisher.heard.seen[-1].written == 1

    earlier = publisher(FIRST, {"ann": [7]})  # as of a back-fill
    assert (earlier.generation, earlier.state, publisher.served("ann")) == (None, "earlier", [[2, 1]])
    assert "not published: readers have generation 2 of 2026-01-10T04:00Z" in publisher.heard.said[-1]
    with pytest.raises(PermanentError, match=r"already served by generation 2, and 1 lists.*--republish"):
        publisher(4, {"ann": [7]})
    assert publisher(4, {"ann": [7]}, republish=True).generation == 3
    assert publisher.served("ann") == [[7]]


def test_an_empty_store_is_loaded_in_full(after):
    publisher = after(1)
    settings = publisher.settings
    elsewhere = settings.model_copy(update={"store": settings.store.model_copy(update={"path": "another"})})
    with open_store(elsewhere) as other:
        second = Publisher(publisher.lake, elsewhere, other)
        result = second(6, {"ann": [1]})  # bob was not active in this hour
        assert (result.planned, result.carried, result.generation) == (2, 1, 2)
        assert second.served("ann", "bob") == [[1], [2]]


def test_a_store_that_another_lake_published_to_keeps_every_list_until_the_switch(after, spark):
    """The lake was lost, so nothing tells where in its ring each list lies: the store itself is asked."""
    publisher = after(3)
    fresh = Publisher(Lake(spark, publisher.settings.under_home("fresh")), publisher.settings, publisher.store)
    seen: list[list[list[int] | None]] = []
    fresh.heard.progress = lambda _: seen.append(fresh.served("ann", "bob"))  # type: ignore[method-assign]
    with pytest.raises(PermanentError, match=r"generation 3, which this lake did not publish.*--republish"):
        fresh(7, {"ann": [1], "bob": [2]})
    result = fresh(7, {"ann": [1], "bob": [2]}, republish=True)
    assert seen[-1] == [[5], [4]]  # all rows are written, and nobody was switched yet
    assert (result.generation, fresh.served("ann", "bob")) == (4, [[1], [2]])
    roll_back(publisher.store)
    assert fresh.served("ann", "bob") == [[5], [4]]


def test_a_load_that_lost_rows_is_not_switched_to_and_the_next_one_takes_over(after, monkeypatch):
    publisher = after(1)
    with monkeypatch.context() as broken:
        broken.setattr(
            attempt,
            "load",
            lambda *_: Load(written=0, rejected=0, erased=0, bytes=0, units=0.0, throttled=0, seconds=0.0),
        )
        with pytest.raises(DataError, match="2 rows planned, 0 written, 0 rejected and 0 erased"):
            publisher(6, {"ann": [2], "bob": [3]})
    control = publisher.store.read_control()
    assert (control.current, control.lease, control.aborted) == (1, None, (2,))
    assert publisher.served("ann") == [[1]]
    assert publisher.states() == {1: "current", 2: "aborted"}


def test_what_an_aborted_attempt_had_planned_is_planned_again(after, monkeypatch):
    publisher = after(1)
    with monkeypatch.context() as broken:
        broken.setattr(attempt, "read_back", dies)
        with pytest.raises(KeyboardInterrupt):
            publisher(6, {"ann": [3], "bob": [4], "cat": [5]})
    assert publisher.served("ann", "bob", "cat") == [[1], [2], None]
    # In the next hour bob's list is as it was, and nobody was active but him.
    result = publisher(7, {"bob": [2]})
    assert (result.planned, result.carried) == (3, 2)
    assert result.compared == 3 + 3  # a sample, and all whom the dead attempt may still write to
    assert publisher.served("ann", "bob", "cat") == [[3], [2], [5]]
    assert publisher.states() == {1: "retired", 2: "aborted", 3: "current"}
    assert publisher(8, {}).planned == 0


def test_a_crash_between_switch_and_merge_heals_on_the_next_run(publisher, lake, settings, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "merge", dies)
        with pytest.raises(KeyboardInterrupt):
            publisher(5, {"ann": [1]})
    assert publisher.served("ann") == [[1]]
    assert not lake.exists(PUBLISHED)

    scored = recommend(lake, settings, hour(5), {"ann": [1]})
    assert publisher.again(5, scored).planned == 0
    assert publisher.published() == {"ann": (1, 0, [1])}
    assert publisher.states() == {1: "current"}


def test_a_switch_whose_answer_is_lost_is_found_out_or_healed(publisher, store, monkeypatch):
    swap = store.swap_control

    def switched_and_lost(expected: Control, new: Control) -> None:
        swap(expected, new)
        if new.lease is None and new.current:
            raise StoreTimeout("the answer was lost")

    monkeypatch.setattr(store, "swap_control", switched_and_lost)
    assert publisher(5, {"ann": [1]}).generation == 1

    def away() -> Control | None:
        raise StoreUnavailable("gone")

    def switched_and_gone(expected: Control, new: Control) -> None:
        swap(expected, new)
        if new.current == 2:
            monkeypatch.setattr(store, "read_control", away)
            raise StoreTimeout("the answer was lost")

    monkeypatch.setattr(store, "swap_control", switched_and_gone)
    with pytest.raises(StoreUnavailable):
        publisher(6, {"ann": [2]})
    monkeypatch.undo()
    assert publisher.served("ann") == [[2]]
    assert publisher(6, {"ann": [2]}).state == "unchanged"
    assert publisher.published() == {"ann": (2, 1, [2])}
    assert publisher.states() == {1: "retired", 2: "current"}


def test_a_row_the_store_refuses_is_counted_named_and_not_taken_for_live(publisher, lake):
    result = publisher(5, {"ann": [1], "x" * 65: [2]})
    assert (result.planned, result.written, result.rejected) == (2, 1, 1)
    assert list(publisher.published()) == ["ann"]
    assert [row["user_id"] for row in lake.read(PLANS).collect()] == ["ann"]
    refused = lake.read(REFUSALS).collect()
    assert [(row["user_id"], row["reason"]) for row in refused] == [("x" * 65, "user_id has 65 bytes; 1 to 64 fit")]


def test_too_many_refused_rows_stop_the_switch(publisher):
    publisher.settings = open_gate(publisher.settings, max_rejected=0.1)
    with pytest.raises(GateFailed, match="rejected_rows: the store refused 1 of 2 rows"):
        publisher(5, {"ann": [1], "x" * 65: [2]})
    assert publisher.served("ann") == [None]


def test_of_two_publishers_one_wins_and_the_other_says_so(publisher, store, monkeypatch):
    """A second one takes over before the first has loaded: the first stops, and what is live is the second's."""
    load = attempt.load

    def overtaken(*arguments: object) -> Load:
        monkeypatch.setattr(attempt, "load", load)
        publisher(6, {"ann": [2]})
        return load(*arguments)

    monkeypatch.setattr(attempt, "load", overtaken)
    with pytest.raises(LeaseLost, match="attempt 1 was stopped"):
        publisher(5, {"ann": [1]})
    assert publisher.served("ann") == [[2]]
    assert publisher.states() == {1: "aborted", 2: "current"}
    with pytest.raises(LeaseLost):
        store.write([Row("ann", 0, 0, b"late")], lease=1)


def test_a_lease_that_is_lost_stops_the_load(publisher, store, monkeypatch):
    """The control record moves on while rows are being written: the executors refuse, and nothing is switched."""
    load = attempt.load

    def overtaken(*arguments: object) -> Load:
        change(store, attempts=9, lease=9)
        return load(*arguments)

    monkeypatch.setattr(attempt, "load", overtaken)
    with pytest.raises(LeaseLost, match="attempt 1 was stopped: attempt 9 took over"):
        publisher(5, {"ann": [1]})
    assert publisher.served("ann") == [None]
    assert publisher.states() == {1: "aborted"}


def test_after_a_rollback_the_table_says_what_readers_see_and_the_next_plan_catches_up(after):
    publisher = after(3)
    roll_back(publisher.store, to=1)
    assert publisher.served("ann", "bob", "cat") == [[1], [2], None]

    result = publisher(7, {"ann": [5]})
    assert publisher.states() == {1: "retired", 2: "bad", 3: "bad", 4: "current"}
    assert (result.planned, publisher.served("ann", "bob", "cat")) == (1, [[5], [2], None])
    assert publisher.published() == {"ann": (4, 1, [5]), "bob": (1, 0, [2])}  # over a bad row, not over the live one
    roll_back(publisher.store)
    assert publisher.served("ann") == [[1]]


def test_a_generation_marked_as_bad_is_passed_over_and_replaced(after):
    publisher = after(3)
    control = publisher.store.read_control()
    publisher.store.swap_control(control, control.without(2))
    assert publisher.served("ann", "bob") == [[5], [2]]
    # Scoring counts bob as changed, for an attempt that nobody sees had planned him.
    assert publisher(7, {"bob": [4]}).planned == 1
    assert publisher.served("ann", "bob") == [[5], [4]]
    assert publisher.published() == {"ann": (3, 2, [5]), "bob": (4, 1, [4]), "cat": (3, 0, [6])}


def test_lists_compared_with_what_readers_have_no_more_are_not_published(after):
    publisher = after(3)
    scored = recommend(publisher.lake, publisher.settings, hour(7), {"ann": [1]})
    control = publisher.store.read_control()
    publisher.store.swap_control(control, control.without(2))
    with pytest.raises(PermanentError, match="do not see generation 2 any more"):
        publisher.again(7, replace(scored, control=control.to_json()))
    now = publisher.store.read_control()
    hidden = tuple(Ledger(publisher.lake, now.store_id).hidden(now))
    assert publisher.again(7, replace(scored, control=now.to_json(), hidden=hidden)).planned == 1


def test_what_costs_more_than_the_budget_stops_before_the_first_write(publisher, store):
    settings = publisher.settings
    publisher.settings = settings.model_copy(
        update={
            "publish": settings.publish.model_copy(update={"max_dollars": 0.0}),
            "prices": settings.prices.model_copy(update={"write_units_million": 1e6}),
            # Only what is charged for costs anything; the store itself is still the embedded one.
            "store": settings.store.model_copy(update={"kind": "dynamodb"}),
        }
    )
    with pytest.raises(OverBudget, match=r"about \$2.00 .*2 write units.*above the limit of \$0.00"):
        publisher(5, {"ann": [1], "bob": [2]})
    assert store.count() == 0
    assert publisher.states() == {1: "aborted"}


def test_lists_that_do_not_pass_the_gate_are_never_written(after):
    publisher = after(1)
    publisher.settings = open_gate(publisher.settings, max_short=0.4)
    with pytest.raises(GateFailed) as failed:
        publisher(6, {"ann": [11], "bob": []})  # item 11 is taken out
    assert "forbidden_items: 1 of 2 lists" in str(failed.value)
    assert "item m11 for user ann" in str(failed.value)
    assert "short_lists: 1 of 2 lists have fewer than 1 items: user bob" in str(failed.value)
    assert {check.name for check in failed.value.checks if check.passed} >= {"coverage", "overlap"}
    assert (publisher.store.count(), publisher.served("ann")) == (2, [[1]])
    noted = publisher.lake.read(PUBLICATIONS).where("generation = 2 AND state = 'aborted'").first()
    assert {check["name"] for check in noted["checks"] if not check["passed"]} == {"forbidden_items", "short_lists"}


def test_counts_that_scoring_and_its_table_do_not_agree_on_stop_the_publication(publisher, lake):
    scored = recommend(lake, publisher.settings, hour(5), {"ann": [1]})
    with pytest.raises(DataError, match="counted 3 users, 2 changed and 1 unchanged, but recommendations has 1"):
        publisher.again(5, replace(scored, scored=3, changed=2, unchanged=1))
