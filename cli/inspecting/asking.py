"""Why: one user, one item, all that can be said."""

from __future__ import annotations

from dataclasses import asdict

from cli.inspecting.desk import Desk
from cli.inspecting.lake import Tables
from cli.inspecting.steps import Answer, Mark, Step
from cli.inspecting.words import service_steps, verdict
from conf.errors import DataError
from serving.lookup import Known, Outcome
from serving.snapshot import Snapshot

DEPTH = 200
"""Places of the order that are looked at."""
SUGGESTED = 3


def ask(desk: Desk, user_id: str, item_id: str, batch: bool = True) -> Answer:
    """Why the item is where it is on the user's home page, or is not on it.

    batch: trace the batch as well, which loads the model.

    Raises:
        DataError: there is no such user, or no such item.
        RetryableError, PermanentError: there is nothing to look at.
    """
    snapshot = desk.snapshot()
    number = item_number(desk, snapshot, item_id)
    known = known_user(desk, snapshot, user_id)
    request = desk.request(user_id, DEPTH)
    visit = desk.visit(snapshot, request, known)
    trace = desk.explain(snapshot, request, number)
    said = verdict(visit, trace)
    steps: tuple[Step, ...] = ()
    if batch:
        from cli.inspecting.batch import CANDIDATES, CUT, FILTER, batch_steps  # torch takes seconds to import

        steps = tuple(batch_steps(desk.settings, snapshot, known, user_id, number))
        if trace.place is None and trace.removed_by is None:
            ends = [step for step in steps if step.mark is Mark.STOPPED and step.stage in (FILTER, CANDIDATES, CUT)]
            said = " ".join([said, *(f"In the batch, {step.stage}: {step.text}" for step in ends[:1])])
    fields = asdict(trace)
    del fields["item_no"]
    return Answer(
        user_id=user_id,
        item_id=item_id,
        title=snapshot.artefact.titles[number],
        verdict=said,
        service=tuple(service_steps(desk, visit, trace)),
        batch=steps,
        trace=fields,
    )


def item_number(desk: Desk, snapshot: Snapshot, item_id: str) -> int:
    """Raises DataError for an item that is not served, with what may have been meant."""
    number = snapshot.artefact.item_no.get(item_id)
    if number is not None:
        return number
    if Tables(desk.settings.lake_root).item(item_id):
        raise DataError(
            f"item {item_id!r} is in the table items and not in the catalogue that is served, of hour "
            f"{snapshot.artefact.made_for}: the next hour brings it"
        )
    hits = desk.searcher.search(snapshot, item_id, SUGGESTED).item_no.tolist()
    meant = ", ".join(f"{snapshot.artefact.item_ids[hit]} ({snapshot.artefact.titles[hit]})" for hit in hits)
    raise DataError(f"there is no item {item_id!r} in the catalogue" + (f"; is it one of {meant}?" if meant else ""))


def known_user(desk: Desk, snapshot: Snapshot, user_id: str) -> Known:
    """Raises DataError for a user of whom neither store, session nor tables know anything."""
    known = desk.known(snapshot, user_id)
    nothing = known.outcome is Outcome.ABSENT and not known.events
    if nothing and not Tables(desk.settings.lake_root).knows(user_id):
        raise DataError(f"there is no user {user_id!r}: no list, no session, no row in the table users")
    return known
