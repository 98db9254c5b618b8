"""published: load the lists that changed into the store, verify them, switch, and remember what is live.

Plan → gate → load → verify → switch → merge. Readers see nothing of a generation before the switch, which is one
compare-and-set of the control record. A crash at any point is healed by the next run: before the switch, its plan is
taken over; after it, its plan is merged.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime

from pyspark.sql import functions as F

from conf.errors import PermanentError
from conf.hours import Hour
from conf.settings import Settings
from jobs import barrier, plan
from jobs.attempt import Attempt, Result
from jobs.gate import Check
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.load import Listener
from jobs.manifests import Scored
from jobs.tables import PUBLISHED
from stores.artefact import same_but_for_forgotten
from stores.base import ControlConflict, Store
from stores.control import MERGED, Control
from stores.generation import Generation

EARLIER = "earlier"
"""State of a result that was not published, for readers have a later hour: such as a back-fill's."""
ACCOUNTING = {
    "accounting": "Whether every planned list was written, refused or left out, and published has those written"
}


def control_of(store: Store, key: str | None = None) -> Control:
    """The store's control record, begun where there is none: from then on the store has an id of its own.

    key: of the barrier list, where an earlier store had one (`barrier.key_of`).
    """
    control = store.read_control()
    if control is None:
        control = Control.first(uuid.uuid4().hex, key)
        store.swap_control(None, control)
    return control


def run(
    lake: Lake,
    hour: Hour,
    settings: Settings,
    store: Store,
    scored: Scored,
    now: Callable[[], datetime],
    listener: Listener,
    watermark: int = 0,
    republish: bool = False,
) -> Result:
    """Publish the recommendations of `hour`; not where readers have a later one, unless `republish` is asked for.

    Raises:
        PermanentError: the hour is the live one, would now come out differently, and `republish` was not asked for; or
            its lists are a back-fill's.
        OverBudget: it would cost more than publish.max_dollars; nothing was written.
        GateFailed: the lists are not fit to be served; the old generation goes on being served.
        ControlConflict, LeaseLost: another publisher, or an operator, has come between.
        DataError: what was loaded is not what was planned; the old generation goes on being served.
    """
    control = control_of(store, barrier.key_of(settings))
    ledger = Ledger(lake, control.store_id)
    if not ledger.describes(control) and not republish:
        raise PermanentError(
            f"the store serves generation {control.current}, which this lake did not publish: it belongs to another "
            "home folder, or the lake was put back to an earlier day. Choose another table or folder for the store, or "
            "take this one over, every list rewritten, with --republish"
        )
    ledger.heal(control, now())
    live = control.generation()
    if not republish and live is not None and Hour.parse(live.hour) >= hour:
        if Hour.parse(live.hour) > hour:
            listener.say(
                f"{hour} is worked out and not published: readers have generation {live.number} of {live.hour}, "
                "a later hour; --republish would take them back"
            )
            return Result(None, EARLIER, scored.scored, scored.changed, scored.unchanged)
        planned = plan.make(lake, hour, control, ledger, settings).count()
        same = same_but_for_forgotten(settings.artefacts_path, live.artefact_id, scored.artefact_id)
        _must_be_live(live, hour, planned, same)
        return Result(None, "unchanged", scored.scored, scored.changed, scored.unchanged)
    if scored.backfill:
        raise PermanentError(
            f"the lists of {hour} are a back-fill's, {scored.backfill}, which is not what readers have now: run the "
            "whole hour again with `topshelf run --republish`, and they are compared with that"
        )
    _must_be_what_was_compared_with(hour, scored, control, ledger)
    # Numbers go on from the ledger's: a new store's first attempt is not the old store's.
    leased = control.begun(max(control.attempts, ledger.last_attempt) + 1)
    try:
        store.swap_control(control, leased)
    except ControlConflict as error:
        raise ControlConflict(f"another publisher took the lease at the same moment: {error}") from error
    attempt = Attempt(lake, ledger, hour, settings, store, scored, now, listener, watermark, control, leased)
    try:
        after = attempt.prepare()
    except Exception as error:
        lost = attempt.abort(error)
        if lost is not None:
            raise lost from error
        raise
    return attempt.finish(after)


def accounted(lake: Lake, result: Result) -> Check:
    """ACCOUNTING of a publication: how many lists its counts and the table do not agree on."""
    (name,) = ACCOUNTING
    known = lake.read(PUBLISHED).where(F.col("generation") == F.lit(result.generation)).count()
    lost = abs(result.planned - result.written - result.rejected - result.erased)
    off = lost + abs(known - result.written) + abs(result.scored - result.changed - result.unchanged)
    text = (
        f"{result.scored:,} scored = {result.changed:,} changed + {result.unchanged:,} unchanged; {result.planned:,} "
        f"planned = {result.written:,} written + {result.rejected:,} refused + {result.erased:,} forgotten; "
        f"published has {known:,} of this generation"
    )
    return Check(name, off == 0, float(off), 0.0, text)


def _must_be_what_was_compared_with(hour: Hour, scored: Scored, control: Control, ledger: Ledger) -> None:
    """Raises PermanentError where readers do not have any more what the lists were compared with: one that came out as
    theirs was is not in the plan."""
    then = Control.from_json(scored.control) if scored.control else None
    if then is None or then.store_id != control.store_id:
        return
    taken = [
        number
        for number in ledger.hidden(control)
        if number not in scored.hidden and ledger.entries[number]["state"] in MERGED
    ]
    if then.current != control.current or taken:
        what = f"were sent from generation {then.current} to {control.current}"
        if then.current == control.current:
            what = f"do not see generation {taken[0]} any more"
        raise PermanentError(
            f"readers {what} after {hour} was scored, and its lists were compared with those they had: run that hour's "
            "`recommendations` again"
        )


def _must_be_live(live: Generation, hour: Hour, planned: int, same_artefact: bool) -> None:
    """Raises PermanentError when publishing the hour would change what readers have of it."""
    if planned or not same_artefact:
        raise PermanentError(
            f"hour {hour} is already served by generation {live.number}, and {planned} lists or the catalogue now "
            "come out differently: publish them on purpose with --republish"
        )
