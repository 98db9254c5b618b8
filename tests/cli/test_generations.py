"""Three generations of two users, published by hand: ann's list changed in each, bob's in the first only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conf.loading import load
from jobs.tables import PLANS, PUBLICATIONS, PUBLISHED
from stores.artefact import write_artefact
from stores.base import Row, Store, choose
from stores.control import Control
from stores.generation import Generation
from stores.opening import open_store
from stores.records import encode_row
from tests.cli.conftest import Topshelf, write
from tests.jobs.publishing import encoded
from tests.serving.conftest import content

STORE, START = "a-store", datetime(2026, 1, 1, 5, tzinfo=UTC)


def attempt(number: int, state: str, **columns: object) -> dict[str, object]:
    counts = ("scored", "changed", "unchanged", "carried", "planned", "written", "rejected", "bytes", "throttled")
    amounts = ("units", "estimated_units", "estimated_dollars", "dollars", "load_seconds")
    manifest = json.dumps({"model_version": f"v{number}"})
    return {
        **dict.fromkeys(counts, 0), **dict.fromkeys(amounts, 0.0), "checks": [], "generation": number, "step": 1,
        "state": state, "hour": START, "store_id": STORE, "manifest": manifest, "started_at": START,
        "noted_at": START, **columns,
    }  # fmt: skip


def listed(user: str, generation: int, place: int) -> dict[str, object]:
    return {
        "user_id": user, "variant": "champion", "items": [], "maturity_limit": 0, "body": encoded([generation]),
        "hash": "h", "ring_position": place, "generation": generation, "store_id": STORE, "hour": START,
        "why": "changed", "again": False,
    }  # fmt: skip


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """The store, and the tables as three publications would have left them."""
    settings = load({"TOPSHELF_HOME": str(home)}).settings
    artefact_id = write_artefact(settings.artefacts_path, content())
    plans = [listed("ann", 1, 0), listed("bob", 1, 0), listed("ann", 2, 1), listed("ann", 3, 2)]
    # One version of published a generation, as each merge leaves it.
    for version in (plans[:2], [plans[1], plans[2]], [plans[1], plans[3]]):
        write(home, PUBLISHED, [{name: row.get(name) for name in PUBLISHED.columns} for row in version])
    write(home, PLANS, plans)
    write(
        home,
        PUBLICATIONS,
        [
            attempt(1, "current", planned=2, written=2, bytes=2_000_000, units=2.0, dollars=0.25),
            attempt(2, "current", base_version=0),
            attempt(2, "retired", base_version=0, step=2),
            attempt(3, "current", base_version=1),
            attempt(4, "aborted", error="the disk was full"),
        ],
    )
    with open_store(settings) as opened:
        control = Control.first(STORE)
        opened.swap_control(None, control)
        for number in (1, 2, 3):
            control = _swap(opened, control, control.begun(number))
            blob = encode_row(encoded([number]), number, 0)
            rows = [
                (str(row["user_id"]), int(str(row["ring_position"]))) for row in plans if row["generation"] == number
            ]
            opened.write([Row(user, 0, place, blob) for user, place in rows], number)
            made = Generation(number, artefact_id, f"v{number}", "2026-01-01T05:00Z", "2026-01-01T06:00:00Z")
            control = _swap(opened, control, control.switched(made))
        _swap(opened, control, control.begun(4).given_up())
        yield opened


def _swap(store: Store, old: Control, new: Control) -> Control:
    # `begun(4).given_up()` is two steps; the store takes one at a time.

    new = replace(new, version=old.version + 1)
    store.swap_control(old, new)
    return new


def seen(store: Store, user: str) -> int | None:
    """The generation whose list a user gets."""
    control = store.read_control()
    assert control is not None
    found = choose(store.ring(user), control)
    return None if found is None else found.generation


def test_every_attempt_is_shown_as_it_stands(topshelf: Topshelf, store: Store) -> None:
    states = {row["generation"]: row["state"] for row in json.loads(topshelf("generations", "--json").output)}
    assert states == {4: "aborted", 3: "current", 2: "retired", 1: "retired"}
    shown = topshelf("generations").output
    assert "2 of 2" in shown
    assert "$0.2500" in shown
    assert "4: the disk was full" in shown


def test_before_the_first_publication_there_is_nothing_to_show_or_to_go_back_to(topshelf: Topshelf) -> None:
    assert "nothing has been published yet" in topshelf("generations").output
    done = topshelf("rollback")
    assert (done.exit_code, "nothing has been published" in done.output) == (1, True)


def test_a_rollback_is_seen_at_once_and_in_the_list_of_generations(topshelf: Topshelf, store: Store) -> None:
    assert (seen(store, "ann"), seen(store, "bob")) == (3, 1)
    done = topshelf("rollback")
    assert done.exit_code == 0
    assert "back from generation 3: readers see generation 2" in done.output
    assert (seen(store, "ann"), seen(store, "bob")) == (2, 1)
    states = {row["generation"]: row["state"] for row in json.loads(topshelf("generations", "--json").output)}
    assert states == {4: "aborted", 3: "bad", 2: "current", 1: "retired"}


def test_what_the_rings_no_longer_hold_is_refused_with_the_number_of_users(
    topshelf: Topshelf, home: Path, store: Store
) -> None:
    """A load under way has written over ann's oldest list, the one of generation 1."""
    write(
        home,
        PLANS,
        [listed("ann", 1, 0), listed("bob", 1, 0), listed("ann", 2, 1), listed("ann", 3, 2), listed("ann", 5, 0)],
    )
    control = store.read_control()
    assert control is not None
    _swap(store, control, control.begun(5))
    store.write([Row("ann", 0, 0, encode_row(encoded([5]), 5, 0))], 5)

    done = topshelf("rollback", "--to", "1")
    assert (done.exit_code, seen(store, "ann")) == (1, 3)
    assert "generation 1 would leave 1 users without the list they had then" in done.output
    assert topshelf("rollback", "--to", "2").exit_code == 0  # the one before is in every ring
    assert seen(store, "ann") == 2
    with_force = topshelf("rollback", "--to", "1", "--force")
    assert "1 users are without a list until the next run" in with_force.output
    assert (seen(store, "ann"), seen(store, "bob")) == (None, 1)


def test_a_rollback_ends_a_load_under_way(topshelf: Topshelf, store: Store) -> None:
    control = store.read_control()
    assert control is not None
    _swap(store, control, control.begun(5))
    assert "the load of attempt 5 was ended" in topshelf("rollback").output
    after = store.read_control()
    assert after is not None
    assert (after.current, after.lease, after.aborted) == (2, None, (4, 5))


def test_two_steps_back_are_checked_against_the_store_and_allowed_where_nobody_loses(
    topshelf: Topshelf, store: Store
) -> None:
    assert topshelf("rollback", "--to", "1").exit_code == 0
    assert (seen(store, "ann"), seen(store, "bob")) == (1, 1)


def test_a_bad_generation_is_never_shown_again(topshelf: Topshelf, store: Store) -> None:
    assert "generation 2 is bad: readers see generation 3" in topshelf("generations", "mark-bad", "2").output
    assert topshelf("generations", "mark-bad", "2").exit_code == 1
    assert "readers see generation 1" in topshelf("generations", "mark-bad", "3").output
    assert seen(store, "ann") == 1


def test_a_generation_whose_artefact_is_gone_is_no_way_back(topshelf: Topshelf, home: Path, store: Store) -> None:
    for folder in (home / "artefacts").iterdir():
        folder.rename(home / "elsewhere")
    done = topshelf("rollback")
    assert (done.exit_code, seen(store, "ann")) == (1, 3)
    assert "generation 2 cannot be served any more" in done.output
