"""What the service did to one item, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from cli.inspecting.desk import Desk
from cli.inspecting.steps import Mark, Step
from conf.vocabulary import EVERYWHERE, LABELS, NO_ANCHOR, Source
from serving.candidates import CACHED, PERSONALIZED, SEGMENT, SESSION
from serving.lookup import Known, Outcome
from serving.order import EXPLORATION, PROMOTION
from serving.request import POPULAR
from serving.snapshot import Snapshot
from serving.tracing import Trace
from serving.visit import Visit

LISTS = {
    PERSONALIZED: "the user's own list",
    CACHED: "the user's own list, remembered, for the store does not answer",
    SESSION: "what is near to what the user did last",
    SEGMENT: "the popular items of the user's age band and region",
    "popular": "the popular items, or the rest of the catalogue",
    PROMOTION: "promotions",
    EXPLORATION: "exploration",
}
PARTS = (
    ("context", "page and time"),
    ("freshness", "new release"),
    ("similar", "like what was watched or clicked since"),
    ("genre", "genres watched since"),
)
DIVERSITY = {"primary_genre": "of its primary genre", "director": "by its director"}


def service_steps(desk: Desk, visit: Visit, trace: Trace) -> Iterator[Step]:
    """From the look-up to the place on the page."""
    yield _generation(visit.snapshot)
    yield _user(visit)
    yield _entered(visit, trace)
    if trace.log_odds is not None:
        yield _score(trace)
    yield _filter(visit, trace)
    yield from _moves(desk, trace)
    yield _place(visit, trace)


def verdict(visit: Visit, trace: Trace) -> str:
    if trace.place is not None:
        as_what = "" if trace.placed_as is None else f", from {LISTS.get(trace.placed_as, trace.placed_as)}"
        return f"On the home page at place {trace.place + 1}{as_what}."
    if trace.removed_by is not None:
        return f"Not on the home page: the rule {trace.removed_by} removes it. {_bar(visit, trace)}"
    if trace.tier is None:
        return f"Not among the first {visit.request.limit} places: no list that was read for them has it."
    return f"It may be shown, but {visit.request.limit} others come first."


def _generation(snapshot: Snapshot) -> Step:
    made = snapshot.generation
    text = f"Generation {made.number} of hour {made.hour} with model {made.model_version}, made at {made.made_at}."
    return Step("served", Mark.SAID, text)


def _user(visit: Visit) -> Step:
    known, limits = visit.known, visit.limits
    region = "unknown" if known.body is None or known.body.region is None else known.body.region
    profile = f"maturity limit {limits.maturity}, region {region}, segment {known.viewer.segment or 'unknown'}"
    if known.outcome in (Outcome.FAILED, Outcome.LATE, Outcome.OPEN) and known.body is None:
        return Step("user", Mark.UNKNOWN, f"The list could not be read ({known.outcome}), so the strictest: {profile}.")
    since = f"events in the session: {len(known.events)}"
    if known.body is None:
        return Step("user", Mark.SAID, f"No list in the store, {since}; the strictest profile: {profile}.")
    group = "" if visit.assigned != POPULAR else " In the baseline group, which gets the popular lists for good."
    return Step("user", Mark.SAID, f"A list of {len(known.body.item_no)} items, {since}; {profile}.{group}")


def _entered(visit: Visit, trace: Trace) -> Step:
    stage, listed = "entered", _listed(visit, trace.item_no)
    if trace.tier is None:
        text = "None of the lists that were read as far as these places has it."
        return Step(stage, Mark.STOPPED, f"{listed} {text}" if listed else text)
    assert trace.rank is not None
    where = f"Now place {trace.rank + 1} of {LISTS.get(trace.tier, trace.tier)}, before any rule."
    if listed:
        return Step(stage, Mark.PASSED, f"{listed} {where}")
    if trace.tier in (PERSONALIZED, CACHED):
        how = "as a new release" if visit.catalogue.is_new(np.array([trace.item_no]))[0] else "by the session"
        return Step(stage, Mark.PASSED, f"The stored list lacks it; it enters {how}. {where}")
    return Step(stage, Mark.PASSED, where)


def _listed(visit: Visit, item_no: int) -> str | None:
    """Its place in the stored list, and why it is there."""
    body = visit.known.body
    places = [] if body is None else (body.item_no == item_no).nonzero()[0].tolist()
    if body is None or not places:
        return None
    place, artefact = places[0], visit.snapshot.artefact
    source, anchor = int(body.source[place]), int(body.anchor[place])
    led = ""
    if source == Source.SIMILAR and anchor < len(body.anchors) and body.anchors[anchor] < len(artefact):
        led = f", similar to “{artefact.titles[body.anchors[anchor]]}”"
    if source == Source.GENRE and anchor < min(len(artefact.genre_names), NO_ANCHOR):
        led = f", popular in {artefact.genre_names[anchor]}"
    return f"Place {place + 1} of {len(body.item_no)} in the stored list, by {LABELS[source]}{led}."


def _score(trace: Trace) -> Step:
    parts = [(name, getattr(trace, key)) for key, name in PARTS]
    added = [f"{value:+.2f} {name}" for name, value in parts if value]
    total = (trace.log_odds or 0) + sum(value for _, value in parts if value)
    text = f"Log-odds {trace.log_odds:.2f}"
    return Step("score", Mark.SAID, f"{text}, {', '.join(added)}: {total:.2f}." if added else f"{text}; nothing added.")


def _filter(visit: Visit, trace: Trace) -> Step:
    if trace.removed_by is None:
        return Step("filter", Mark.PASSED, "No rule bars it.")
    return Step("filter", Mark.STOPPED, f"{trace.removed_by}: {_bar(visit, trace)}")


def _bar(visit: Visit, trace: Trace) -> str:  # noqa: PLR0911  # one return a rule reads best
    """The rule that bars the item, with the numbers it went by."""
    artefact, number = visit.snapshot.artefact, trace.item_no
    if trace.removed_by == "inactive":
        down = artefact.item_ids[number] in visit.snapshot.control.takedowns
        return "It was taken down (`topshelf takedown`)." if down else "It is not active in the catalogue."
    if trace.removed_by == "maturity":
        return f"It is for maturity {artefact.maturity[number]}, and the viewer's limit is {visit.limits.maturity}."
    if trace.removed_by == "region":
        return f"It is licensed in {_regions(visit.snapshot, number)}, which the viewer's region is not."
    if trace.removed_by == "window":
        start, end = artefact.available_from[number], artefact.available_until[number]
        return f"Its licence runs from {_moment(start)} to {_moment(end)}."
    if trace.removed_by == "tier":
        return "A subscription tier does not get it, and which one the user has is not known here: so it is withheld."
    if trace.removed_by == "hidden":
        return _hidden(visit.known, number)
    return "The catalogue that is served does not have it."


def _hidden(known: Known, number: int) -> str:
    for event in known.events:
        if event.item_no == number:
            return f"The user's session has {event.event_type} of it, at {_moment(event.timestamp)}."
    return "It is one of the last watches that the list was made from."


def _regions(snapshot: Snapshot, number: int) -> str:
    artefact = snapshot.artefact
    bits = int(artefact.licensed[number])
    named = [name for place, name in enumerate(artefact.regions) if bits >> place & 1]
    return "every region" if bits & int(EVERYWHERE) else ", ".join(named) or "no region"


def _moves(desk: Desk, trace: Trace) -> Iterator[Step]:
    rules = desk.rules
    if trace.held_by is not None:
        most = {"primary_genre": rules.diversity.max_per_primary_genre, "director": rules.diversity.max_per_director}
        text = f"{trace.held_by}: {most[trace.held_by]} of {rules.diversity.window} neighbours may be "
        yield Step("diversity", Mark.MOVED, f"{text}{DIVERSITY[trace.held_by]}, so it waited for a later place.")
    elif trace.place is not None:
        yield Step("diversity", Mark.PASSED, "It did not have to wait.")
    if trace.placed_as == PROMOTION:
        yield Step("promotion", Mark.MOVED, f"Pinned to place {(trace.place or 0) + 1} by conf/rules.yaml.")
    if trace.placed_as == EXPLORATION:
        yield Step("exploration", Mark.MOVED, f"Drawn, with a propensity of {trace.propensity:.6f}.")
    elif trace.place is not None and trace.propensity is not None and trace.propensity < 1:
        text = f"It has this place in {trace.propensity:.0%} of orders; in the others something else is drawn for it."
        yield Step("exploration", Mark.SAID, text)


def _place(visit: Visit, trace: Trace) -> Step:
    if trace.place is None:
        return Step("place", Mark.STOPPED, f"None of the first {visit.request.limit}.")
    return Step("place", Mark.PASSED, f"{trace.place + 1}, from {LISTS.get(trace.placed_as or '', trace.placed_as)}.")


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ")
    except (OverflowError, ValueError, OSError):
        return "ever" if seconds < 0 else "for ever"
