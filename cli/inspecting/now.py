"""The four questions of an operator, answered in words: published, fresh, changed, cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cli.inspecting.found import Entry, Found
from cli.inspecting.runs import DONE, ENDED, FAILED, QUEUED, UNDER_WAY
from cli.inspecting.saying import Line, Tone, clock, long, many, sentence, span_of
from conf.hours import Hour
from stores.generation import Generation

DAY = timedelta(hours=24)
MONTH_HOURS = 730
FIRST = "The first publication writes a list for every active user."


@dataclass(frozen=True)
class Answer:
    """short: in large letters."""

    question: str
    short: str
    tone: Tone
    lines: tuple[Line, ...]


def answers(found: Found) -> list[Answer]:
    return [
        Answer("Is the last hour published?", *_published(found)),
        Answer("How fresh is what users see?", *_fresh(found)),
        Answer("What changed?", *_changed(found)),
        Answer("What does it cost?", *_cost(found)),
    ]


Said = tuple[str, Tone, tuple[Line, ...]]


def _published(found: Found) -> Said:
    last, live = found.last_hour, found.live
    if last is None:
        return (
            "No data yet",
            Tone.WAITING,
            (Line("`topshelf import DIR` reads yours, `topshelf demo-world` makes some."),),
        )
    if found.store_problem is not None:
        return "Not known", Tone.BAD, (Line(f"The store cannot be asked: {found.store_problem}"), *_by_ledger(found))
    if live is None:
        return "Nothing yet", Tone.WAITING, (_run_line(found, last), Line("`topshelf run` publishes the first hour."))
    hour = Hour.parse(live.hour)
    if hour >= last:
        made = f"{span_of(hour)} went live as generation {live.number}, made at {clock(_made(live), found.now)}."
        ended = "" if found.settings.data.partitions_end is None else " It is the last hour of a finished record."
        return "Yes", Tone.GOOD, (Line(made + ended, _run_of(found, live)),)
    has = Line(f"Readers have {span_of(hour)}, generation {live.number}.", _run_of(found, live))
    due = last.end + found.late
    if found.settings.data.partitions_end is None and found.now < due and hour.end == last.start:
        text = f"{span_of(last)} is due by {clock(due, found.now)}."
        return "Not yet", Tone.WAITING, (Line(text), _run_line(found, last), has)
    missing = round((last.start - hour.start) / timedelta(hours=1))
    text = f"{span_of(last)} is not published" + (
        f", nor {many(missing - 1, 'hour')} before it." if missing > 1 else "."
    )
    return "No", Tone.BAD, (Line(text), _run_line(found, last), has)


def _by_ledger(found: Found) -> Iterator[Line]:
    """What was live when the ledger was last written."""
    entry = next((entry for entry in found.attempts if entry["state"] == "current"), None)
    if entry is not None:
        hour = Hour.of(entry["hour"])
        yield Line(f"By the ledger, generation {entry['generation']} of {span_of(hour)} was live last.")
    yield Line("Services go on with what they have in memory, then with popular items.")


def _run_line(found: Found, hour: Hour) -> Line:
    """How the run of an hour stands."""
    if found.runs_problem is not None:
        return Line(f"Its run is not known: {found.runs_problem}")
    run = found.run_of(hour)
    if run is None:
        return Line("No run was asked for: the schedule every_hour may be off.")
    words = {
        QUEUED: "Its run waits for its turn.",
        UNDER_WAY: f"Its run has been under way for {long(run.took(found.now))}.",
        FAILED: "Its run failed.",
        ENDED: "Its run was ended by hand.",
        DONE: "Its run went through.",
    }
    return Line(words.get(run.state, f"Its run is {run.state}."), run.run_id)


def _fresh(found: Found) -> Said:
    live = found.live
    if found.store_problem is not None:
        return "Not known", Tone.BAD, (Line("The store says what users see, and cannot be asked."),)
    if live is None:
        text = "No list is published: services answer nothing personal." if found.last_hour else "There is no data."
        return "Nothing to see", Tone.WAITING, (Line(text),)
    hour, data = Hour.parse(live.hour), found.settings.data
    lines = [Line(f"Lists know all that had come in by {clock(hour.end, found.now)}.")]
    lines.append(Line(f"Model {live.model_version} made them."))
    gone = [number for number in found.control.bad if number > live.number] if found.control else []
    if gone:
        lines.append(Line(f"Readers were sent back: generation {', '.join(map(str, gone))} is taken back."))
    if data.partitions_end is not None:
        return f"{hour.end:%-d %B %Y}", Tone.GOOD, (*lines, Line("The record is finished: nothing newer will come."))
    age = found.now - hour.end
    lines.append(Line("What a user does shows on their next page all the same."))
    return f"{long(age)} old", Tone.GOOD if age <= timedelta(hours=1) + found.late else Tone.BAD, tuple(lines)


def _changed(found: Found) -> Said:
    live = found.live
    if found.ledger_problem is not None:
        return "Not known", Tone.BAD, (Line(f"The ledger cannot be read: {found.ledger_problem}"),)
    if live is None:
        problem = found.store_problem is not None
        return ("Not known", Tone.BAD, ()) if problem else ("Nothing yet", Tone.PLAIN, (Line(FIRST),))
    entry = found.entry(live.number)
    if entry is None:
        text = f"The ledger does not know generation {live.number}: another home folder published it."
        return "Not known", Tone.BAD, (Line(text),)
    lines = [Line(f"Of {entry['scored']:,} users scored, {entry['unchanged']:,} keep the list they had.")]
    before = _before(found, live)
    lines.append(Line(_beside(live, before)))
    lines.extend(Line(f"{sentence(text)}.") for name, text in _checks(entry) if name in ("overlap", "item_coverage"))
    control = found.control
    if control is not None and control.takedowns:
        lines.append(Line(f"Taken down by hand: {many(len(control.takedowns), 'item')}."))
    if control is not None and control.rollout is not None:
        tried = control.rollout
        lines.append(Line(f"Model {tried.model_version} is being tried with {tried.percent}% of users."))
    return many(entry["written"], "list"), Tone.PLAIN, tuple(lines)


def _before(found: Found, live: Generation) -> Generation | None:
    """The generation that readers had before."""
    older = [one for one in (found.control.live if found.control else ()) if one.number < live.number]
    return older[0] if older else None


def _beside(live: Generation, before: Generation | None) -> str:
    if before is None:
        return "It is the first publication." if live.number == 1 else "The one before it is not kept."
    model = "the same model" if live.model_version == before.model_version else f"model {live.model_version}"
    instead = "" if live.model_version == before.model_version else f" instead of {before.model_version}"
    more = live.slots - before.slots if live.slots and before.slots else 0
    items = f", {many(more, 'more item')} in the catalogue" if more > 0 else ", no new items"
    return f"Beside generation {before.number}: {model}{instead}{items}."


def _cost(found: Found) -> Said:
    live = found.live
    entry = None if live is None else found.entry(live.number)
    day = [one for one in found.attempts if found.now - one["noted_at"] <= DAY]
    machine = list(_machine(found))
    if entry is None:
        return "Nothing yet" if not found.attempts else "Not known", Tone.PLAIN, tuple(machine)
    size = f"{entry['bytes'] / 1e3:,.0f} kB in {entry['load_seconds']:,.1f} s"
    settings, kind = found.settings, found.settings.store.kind
    if kind != "dynamodb":
        where = "a folder on this machine" if kind == "embedded" else "your own cluster"
        return "No charge", Tone.PLAIN, (Line(f"The store is {where}. The last load wrote {size}."), *machine)
    if settings.dynamodb.billing == "provisioned":
        hourly = settings.dynamodb.write_units * settings.prices.provisioned_write_unit_hour
        text = f"{settings.dynamodb.write_units:,} write units are paid for, used or not. The last load wrote {size}."
        return f"${hourly:,.2f} an hour", Tone.PLAIN, (Line(text), *machine)
    total = sum(one["dollars"] for one in day)
    rate = Line(
        f"24 hours: ${total:,.4f} in {many(len(day), 'publication')}, "
        f"which is ${total / 24 * MONTH_HOURS:,.2f} a month."
    )
    last = Line(f"The last load: {entry['units']:,.0f} write units, {size}.")
    return f"${entry['dollars']:,.4f} an hour", Tone.PLAIN, (last, rate, *machine)


def _machine(found: Found) -> Iterator[Line]:
    """What the runs took."""
    hourly = next((run for run in found.runs if run.job == "hourly" and run.state == DONE), None)
    if hourly is not None:
        yield Line(f"The last hourly run took {long(hourly.took(found.now))}.", hourly.run_id)
    times = [run.took(found.now) for run in found.runs if run.started and found.now - run.started <= DAY]
    if times:
        yield Line(f"All runs of 24 hours took {long(sum(times, timedelta(0)))} of this machine.")


def _run_of(found: Found, live: Generation) -> str | None:
    run = next((run for run in found.runs if run.generation == live.number), None)
    return None if run is None else run.run_id


def _checks(entry: Entry) -> Iterator[tuple[str, str]]:
    for check in entry["checks"]:
        yield check["name"], check["text"]


def _made(live: Generation) -> datetime:
    return datetime.fromisoformat(live.made_at).astimezone(UTC)
