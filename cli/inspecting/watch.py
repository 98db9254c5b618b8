"""What asks for an operator's hand, and what became of the last hours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from cli.inspecting.found import Entry, Found
from cli.inspecting.runs import DONE, FAILED, QUEUED, UNDER_WAY, Run
from cli.inspecting.saying import MOST, Line, Tone, clock, sentence, span_of
from conf.hours import Hour
from stores.rollout import HELD

DAY = timedelta(hours=24)
SLOTS = 24
"""Hours that the page shows side by side."""
TOLD = 6
"""Things that ask for a hand, at most."""


@dataclass(frozen=True)
class Slot:
    """An hour and what became of it, in a word or two."""

    hour: str
    state: str
    tone: Tone
    run: str | None


def wanting(found: Found) -> list[Line]:
    """What asks for a hand, the most urgent first; empty: nothing does."""
    said = [*_problems(found), *_publications(found), *_failures(found)]
    return said[:TOLD]


def _problems(found: Found) -> Iterator[Line]:
    for problem in (found.store_problem, found.ledger_problem, found.runs_problem):
        if problem is not None:
            yield Line(sentence(problem))


def _publications(found: Found) -> Iterator[Line]:
    newest = found.attempts[0] if found.attempts else None
    if newest is not None and found.state(newest) == "aborted" and newest["error"]:
        yield Line(f"Generation {newest['generation']} was not published: {str(newest['error'])[:MOST]}")
    for each in found.attempts:
        if found.state(each) == "bad" and found.now - each["noted_at"] <= DAY:
            yield Line(f"Generation {each['generation']} of {span_of(Hour.of(each['hour']))} was taken back.")
    live = found.live
    entry = None if live is None else found.entry(live.number)
    manifest = {} if entry is None else json.loads(entry["manifest"])
    if manifest.get("problem"):
        yield Line(f"Lists made without the ranker: {manifest['simpler']:,}. {sentence(manifest['problem'])}")
    rollout = None if found.control is None else found.control.rollout
    if rollout is not None and rollout.state == HELD:
        yield Line(f"Model {rollout.model_version} is held at {rollout.percent}%: {rollout.note}")


def _failures(found: Found) -> Iterator[Line]:
    """Runs of a day that failed, and after which none of the same work went through."""
    through: set[tuple[str, str]] = set()
    for run in found.runs:
        work = (run.job, run.partition)
        if run.state == DONE:
            through.add(work)
        elif run.state == FAILED and work not in through and run.ended and found.now - run.ended <= DAY:
            through.add(work)  # the newest of several is enough
            of = f" of {run.partition}" if run.partition else ""
            yield Line(f"{run.job}{of} failed at {clock(run.ended, found.now)}.", run.run_id)


def slots(found: Found) -> list[Slot]:
    """The last hours, oldest first, each with what became of it."""
    last, data = found.last_hour, found.settings.data
    if last is None or data.partitions_start is None:
        return []
    first = Hour.of(data.partitions_start if data.partitions_end is None else last.start - DAY)
    by_hour: dict[Hour, Entry] = {}
    for entry in reversed(found.attempts):
        by_hour[Hour.of(entry["hour"])] = entry
    hours = [Hour(last.start - timedelta(hours=back)) for back in reversed(range(SLOTS))]
    return [_slot(found, hour, by_hour.get(hour)) for hour in hours if hour >= first]


def _slot(found: Found, hour: Hour, entry: Entry | None) -> Slot:
    run = found.run_of(hour)
    state, tone = _outcome(found, entry, run)
    return Slot(f"{hour.start:%H:%M}", f"{hour}: {state}", tone, None if run is None else run.run_id)


def _outcome(found: Found, entry: Entry | None, run: Run | None) -> tuple[str, Tone]:
    if entry is not None and found.was_live(entry):
        state, number = found.state(entry), entry["generation"]
        return (f"generation {number} is bad", Tone.BAD) if state == "bad" else (f"generation {number}", Tone.GOOD)
    if run is not None and run.state in (QUEUED, UNDER_WAY):
        return run.state, Tone.WAITING
    if run is not None and run.state == FAILED:
        return FAILED, Tone.BAD
    return ("worked out, not published" if run is not None and run.state == DONE else "not run"), Tone.PLAIN
