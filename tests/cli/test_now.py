"""What the first page says: of an hour in time, under way, late or refused, of a store that is away."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.inspecting.found import Found
from cli.inspecting.now import Answer, answers
from cli.inspecting.runs import DONE, FAILED, UNDER_WAY, Run
from cli.inspecting.saying import Tone
from cli.inspecting.watch import slots, wanting
from conf.hours import Hour
from conf.loading import load
from conf.settings import Settings
from jobs.ledger import first_entry
from stores.control import Control
from stores.generation import Generation

FIVE = Hour(datetime(2026, 11, 23, 5, tzinfo=UTC))
START = FIVE.start - timedelta(hours=3)


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T{clock}:00+00:00")


def live(settings: Settings, **data: Any) -> Settings:
    return settings.model_copy(update={"data": settings.data.model_copy(update={"partitions_start": START, **data})})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return live(load({"TOPSHELF_HOME": str(tmp_path)}).settings)


def entry(number: int, hour: Hour, **more: Any) -> dict[str, Any]:
    check = {"name": "item_coverage", "passed": True, "value": 0.9, "limit": 0.1, "text": "270 of 300 active items"}
    return {
        **first_entry(number, hour, "s", None, hour.end),
        "noted_at": hour.end + timedelta(minutes=9),
        "state": "current",
        "checks": [check],
        "scored": 1300,
        "unchanged": 900,
        "written": 400,
        "bytes": 400_000,
        "load_seconds": 0.5,
        **more,
    }


def record(*hours: Hour, model: str = "v1") -> Control:
    made = [
        Generation(number, "a", model, str(hour), (hour.end + timedelta(minutes=7)).isoformat(), slots=300 + number)
        for number, hour in enumerate(hours, start=1)
    ]
    return replace(Control.first("s"), current=len(made), attempts=len(made), live=tuple(reversed(made)))


def run(hour: Hour, state: str, generation: int | None = None) -> Run:
    ended = None if state == UNDER_WAY else hour.end + timedelta(minutes=9)
    return Run(f"run-{hour.key}-{state}", "hourly", hour.key, state, hour.end + timedelta(minutes=5), ended, generation)


def said(found: Found) -> dict[str, Answer]:
    names = ("published", "fresh", "changed", "cost")
    return dict(zip(names, answers(found), strict=True))


def text(answer: Answer) -> str:
    return " ".join(line.text for line in answer.lines)


def test_an_hour_that_is_out(settings: Settings) -> None:
    four = Hour(FIVE.start - timedelta(hours=1))
    found = Found(
        settings,
        at("06:40"),
        record(four, FIVE),
        (entry(2, FIVE), entry(1, four, state="retired")),
        (run(FIVE, DONE, 2), run(four, DONE, 1)),
    )
    one = said(found)
    assert [answer.short for answer in one.values()] == ["Yes", "40 min old", "400 lists", "No charge"]
    assert "05:00–06:00 of 23 November went live as generation 2, made at 06:07." in text(one["published"])
    assert one["published"].lines[0].run == run(FIVE, DONE).run_id
    assert "Beside generation 1: the same model, 1 more item in the catalogue." in text(one["changed"])
    assert "Of 1,300 users scored, 900 keep the list they had. " in text(one["changed"])
    assert "The last hourly run took 4 min. All runs of 24 hours took 8 min" in text(one["cost"])
    assert wanting(found) == []
    assert [(slot.hour, slot.tone) for slot in slots(found)] == [
        ("02:00", Tone.PLAIN),
        ("03:00", Tone.PLAIN),
        ("04:00", Tone.GOOD),
        ("05:00", Tone.GOOD),
    ]


def test_an_hour_that_is_not_due_yet_and_one_that_is_late(settings: Settings) -> None:
    six = Hour(FIVE.end)
    found = Found(settings, at("07:30"), record(FIVE), (entry(1, FIVE),), (run(six, UNDER_WAY),))
    published, fresh = answers(found)[:2]
    assert (published.short, published.tone, fresh.tone) == ("Not yet", Tone.WAITING, Tone.GOOD)
    assert "is due by 07:45. Its run has been under way for 25 min." in text(published)
    late = replace(found, now=at("09:01"), runs=(run(six, FAILED),))
    published, fresh = answers(late)[:2]
    assert (published.short, published.tone, fresh.tone) == ("No", Tone.BAD, Tone.BAD)
    assert "08:00–09:00 of 23 November is not published, nor 2 hours before it." in text(published)
    assert "No run was asked for" in text(published)
    assert fresh.short == "3 h 1 min old"
    assert wanting(late)[0].run == run(six, FAILED).run_id
    again = replace(late, runs=(run(six, DONE), run(six, FAILED)))
    assert wanting(again) == []


def test_before_anything_there_is_something_to_type(settings: Settings) -> None:
    empty = Found(live(settings, partitions_start=None), at("06:40"))
    assert [answer.short for answer in answers(empty)] == [
        "No data yet",
        "Nothing to see",
        "Nothing yet",
        "Nothing yet",
    ]
    assert "topshelf import" in text(answers(empty)[0])
    assert slots(empty) == []
    unpublished = Found(settings, at("06:40"), Control.first("s"))
    assert answers(unpublished)[0].short == "Nothing yet"
    assert "`topshelf run`" in text(answers(unpublished)[0])


def test_a_store_that_is_away_is_told_of_and_the_ledger_is_asked(settings: Settings) -> None:
    found = Found(settings, at("06:40"), None, (entry(2, FIVE),), store_problem="nobody listens on port 9042")
    published, fresh, changed, cost = answers(found)
    assert [published.short, fresh.short, changed.short, cost.short] == ["Not known"] * 4
    assert "nobody listens on port 9042" in text(published)
    assert "generation 2 of 05:00–06:00 of 23 November was live last" in text(published)
    assert [line.text for line in wanting(found)] == ["Nobody listens on port 9042"]


def test_what_was_refused_taken_back_or_made_simpler_asks_for_a_hand(settings: Settings) -> None:
    simpler = json.dumps({"simpler": 12, "problem": "its ranker is gone"})
    bad = replace(record(FIVE), attempts=3, bad=(2,), aborted=(3,))
    found = Found(
        settings,
        at("06:40"),
        bad,
        (
            entry(3, FIVE, state="aborted", error="too few items"),
            entry(2, FIVE, state="current"),
            entry(1, FIVE, manifest=simpler),
        ),
    )
    assert [line.text for line in wanting(found)] == [
        "Generation 3 was not published: too few items",
        "Generation 2 of 05:00–06:00 of 23 November was taken back.",
        "Lists made without the ranker: 12. Its ranker is gone",
    ]
    assert "Readers were sent back: generation 2 is taken back." in text(answers(found)[1])


@pytest.mark.parametrize(
    ("billing", "short", "more"),
    [
        ("on_demand", "$0.2500 an hour", "24 hours: $0.2500 in 1 publication, which is $7.60 a month."),
        ("provisioned", "$0.65 an hour", "1,000 write units are paid for, used or not."),
    ],
)
def test_a_table_that_charges(settings: Settings, billing: str, short: str, more: str) -> None:
    charged = settings.model_copy(
        update={
            "store": settings.store.model_copy(update={"kind": "dynamodb"}),
            "dynamodb": settings.dynamodb.model_copy(update={"billing": billing, "write_units": 1000}),
        }
    )
    found = Found(charged, at("06:40"), record(FIVE), (entry(1, FIVE, units=400_000.0, dollars=0.25),))
    cost = answers(found)[3]
    assert cost.short == short
    assert more in text(cost)


def test_a_finished_record_is_never_late(settings: Settings) -> None:
    found = Found(live(settings, partitions_end=FIVE.start), at("23:59"), record(FIVE), (entry(1, FIVE),))
    published, fresh = answers(found)[:2]
    assert (published.short, fresh.short) == ("Yes", "23 November 2026")
    assert "It is the last hour of a finished record." in text(published)
