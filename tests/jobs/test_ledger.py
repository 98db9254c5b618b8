"""What the ledger tells of the publications there were."""

from __future__ import annotations

from datetime import UTC, datetime

from conf.hours import Hour
from jobs.lake import Lake
from jobs.ledger import Ledger, first_entry, past

HOUR = Hour(datetime(2026, 1, 1, 5, tzinfo=UTC))


def test_the_past_is_what_was_live_oldest_first_as_it_stands_now(lake: Lake) -> None:
    ledger = Ledger(lake, "s")
    came_to = {1: ("current", "retired"), 2: ("planned", "aborted"), 3: ("current", "bad"), 4: ("current",)}
    for number, states in came_to.items():
        for state in states:
            ledger.add({**first_entry(number, HOUR, "s", None, HOUR.end), "state": state, "noted_at": HOUR.end})
    ledger.write()
    found = [(entry["generation"], entry["state"]) for entry in past(lake, 10)]
    assert found == [(1, "retired"), (3, "bad"), (4, "current")]
    assert [entry["generation"] for entry in past(lake, 2)] == [3, 4]
