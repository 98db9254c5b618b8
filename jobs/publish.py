"""published: load the lists that changed into the store, verify them, switch, and remember what is live.

Plan → gate → load → verify → switch → merge. Readers see nothing of a generation before the switch, which is one
compare-and-set of the control record. A crash at any point is healed by the next run: before the switch, its plan is
taken over; after it, its plan is merged.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from datetime import datetime
from typing import Any

from pyspark.sql import functions as F

from conf.errors import DataError, PermanentError, TopshelfError
from conf.hours import Hour
from conf.settings import Settings
from jobs import cost, gate, plan
from jobs.gate import Check, GateFailed
from jobs.lake import Lake
from jobs.ledger import Ledger, first_entry
from jobs.load import Listener, Load, load
from jobs.manifests import Scored, built_from, remove_unused
from jobs.readback import read_back
from jobs.switch import still_held, switch
from jobs.tables import PUBLISHED, RECOMMENDATIONS
from stores.artefact import load_artefact
from stores.base import ControlConflict, LeaseLost, Store
from stores.control import Control, Generation


@dataclass(frozen=True)
class Result:
    """What a publication did. generation is None where there was nothing to publish.

    scored = changed + unchanged; planned = written + rejected.
    """

    generation: int | None
    state: str
    scored: int
    changed: int
    unchanged: int
    carried: int = 0
    planned: int = 0
    written: int = 0
    rejected: int = 0
    bytes: int = 0
    units: float = 0
    throttled: int = 0
    estimated_dollars: float = 0
    dollars: float = 0
    load_seconds: float = 0
    compared: int = 0
    """Rows read back before the switch."""
    checks: tuple[Check, ...] = ()


def control_of(store: Store) -> Control:
    """The store's control record, begun where there is none: from then on the store has an id of its own."""
    control = store.read_control()
    if control is None:
        control = Control.first(uuid.uuid4().hex)
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
    """Publish the recommendations of `hour`.

    Raises:
        PermanentError: the hour is not later than the live one and `republish` was not asked for.
        OverBudget: it would cost more than publish.max_dollars; nothing was written.
        GateFailed: the lists are not fit to be served; the old generation goes on being served.
        ControlConflict, LeaseLost: another publisher, or an operator, has come between.
        DataError: what was loaded is not what was planned; the old generation goes on being served.
    """
    control = control_of(store)
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
        _must_be_live(live, hour, plan.make(lake, hour, control, ledger, settings).count(), scored.artefact_id)
        return Result(None, "unchanged", scored.scored, scored.changed, scored.unchanged)
    # Numbers go on from the ledger's: a new store's first attempt is not the old store's.
    leased = control.begun(max(control.attempts, ledger.last_attempt) + 1)
    try:
        store.swap_control(control, leased)
    except ControlConflict as error:
        raise ControlConflict(f"another publisher took the lease at the same moment: {error}") from error
    attempt = _Attempt(lake, ledger, hour, settings, store, scored, now, listener, watermark, control, leased)
    try:
        after = attempt.prepare()
    except Exception as error:
        lost = attempt.abort(error)
        if lost is not None:
            raise lost from error
        raise
    return attempt.finish(after)


def _must_be_live(live: Generation, hour: Hour, planned: int, artefact_id: str) -> None:
    """Raises PermanentError when publishing the hour would take readers back, or change an hour that they have."""
    if Hour.parse(live.hour) > hour:
        raise PermanentError(
            f"hour {hour} is not later than {live.hour}, which generation {live.number} serves: "
            "publish it on purpose with --republish"
        )
    if planned or live.artefact_id != artefact_id:
        raise PermanentError(
            f"hour {hour} is already served by generation {live.number}, and {planned} lists or the catalogue now "
            "come out differently: publish them on purpose with --republish"
        )


@dataclass
class _Attempt:
    """One attempt, from its lease to the switch."""

    lake: Lake
    ledger: Ledger
    hour: Hour
    settings: Settings
    store: Store
    scored: Scored
    now: Callable[[], datetime]
    listener: Listener
    watermark: int
    before: Control
    leased: Control
    compared: int = 0
    checks: tuple[Check, ...] = ()
    entry: dict[str, Any] = field(default_factory=dict)
    """Its row of the ledger."""

    @property
    def number(self) -> int:
        return self.leased.attempts

    def prepare(self) -> Control:
        """Plan, check, load and verify, then switch. Returns the control record after the switch."""
        counts = self._plan()
        made = Generation(
            self.number,
            self.scored.artefact_id,
            self.scored.model_version,
            str(self.hour),
            self.now().isoformat(),
            slots=len(load_artefact(self.settings.artefacts_path, self.scored.artefact_id, verify=False)),
        )
        unchanged = self.scored.scored - (counts.planned - counts.carried)
        done = load(self.lake, self.settings, self.number, self.watermark, counts.planned, unchanged, self.listener)
        self._account(counts, done)
        self.compared = read_back(
            self.lake, self.settings, self.store, self.number, self.leased.switched(made), counts.again > 0
        )
        self._note("verified")
        self.ledger.write()
        return switch(self.store, self.leased, made)

    def finish(self, after: Control) -> Result:
        """Remember what is live. Nothing in here can take the switch back; the next run repeats what is left of it."""
        self.ledger.merge(after, self.number)
        self._note("current")
        self.ledger.follow(after, self.now())
        self.ledger.write()
        self.ledger.forget_plans(after)
        self.ledger.compact()
        kept = {generation.artefact_id for generation in after.live} | built_from(self.settings, self.hour)
        remove_unused(self.settings, kept)
        shown = {name: self.entry[name] for name in Result.__dataclass_fields__ if name in self.entry}
        return Result(**{**shown, "compared": self.compared, "checks": self.checks})

    def _plan(self) -> plan.Counts:
        """Write the plan down, then refuse it before its first row is loaded, if it is to be refused."""
        self._check_scored()
        manifest = {
            "model_id": self.scored.model_id,
            "model_version": self.scored.model_version,
            "artefact_id": self.scored.artefact_id,
            "tables": self.scored.versions,
            "watermark": self.watermark,
            "store": self.settings.store.kind,
        }
        self.entry = {
            **first_entry(self.number, self.hour, self.leased.store_id, self.lake.version(PUBLISHED), self.now()),
            "scored": self.scored.scored,
            "changed": self.scored.changed,
            "unchanged": self.scored.unchanged,
        }
        counts = plan.save(
            self.lake, plan.make(self.lake, self.hour, self.leased, self.ledger, self.settings), self.number
        )
        expected = cost.estimate(
            counts.planned, counts.bytes, counts.units, self.settings, empty_store=self.before.attempts == 0
        )
        self.listener.say(f"generation {self.number}: {expected}" + (f" ({expected.hint})" if expected.hint else ""))
        self.entry |= {
            "planned": counts.planned,
            "carried": counts.carried,
            "estimated_units": expected.units,
            "estimated_dollars": expected.dollars,
            "manifest": json.dumps({**manifest, "lists_checksum": counts.checksum}),
        }
        self._note("planned")
        cost.check_budget(expected, self.settings)
        self._judge(
            gate.evaluate(self.lake, self.number, self.hour, self.settings, self.leased, self.scored.artefact_id)
        )
        self._note("loading")
        self.ledger.write()
        return counts

    def _account(self, counts: plan.Counts, done: Load) -> None:
        """Raises DataError unless every planned row was written or refused; GateFailed when too many were refused."""
        self.entry |= {
            "written": done.written,
            "rejected": done.rejected,
            "bytes": done.bytes,
            "units": done.units,
            "throttled": done.throttled,
            "dollars": cost.dollars(done.units, self.settings),
            "load_seconds": done.seconds,
        }
        charged = f", {done.units:,.0f} write units, ${self.entry['dollars']:,.4f}" if done.units else ""
        self.listener.say(
            f"generation {self.number}: {done.written:,} rows written, {done.rejected:,} rejected, "
            f"{done.bytes / 1e6:,.1f} MB{charged}, in {done.seconds:.1f} s"
        )
        if counts.planned != done.written + done.rejected:
            raise DataError(
                f"generation {self.number}: {counts.planned} rows planned, {done.written} written and "
                f"{done.rejected} rejected"
            )
        self._judge((*self.checks, gate.refused(done.rejected, counts.planned, self.settings.gate)))
        self._note("loaded")

    def _judge(self, checks: tuple[Check, ...]) -> None:
        self.checks = checks
        self.entry["checks"] = [astuple(check) for check in checks]
        if not all(check.passed for check in checks):
            raise GateFailed(self.number, checks)

    def _check_scored(self) -> None:
        """Raises DataError unless scoring and the table agree on how many lists there are."""
        of_hour = (F.col("date") == self.hour.date) & (F.col("hour") == self.hour.start.hour)
        found = self.lake.read(RECOMMENDATIONS).where(of_hour).count()
        scored = self.scored
        if scored.scored != scored.changed + scored.unchanged or found != scored.changed:
            raise DataError(
                f"scoring of {self.hour} counted {scored.scored} users, {scored.changed} changed and "
                f"{scored.unchanged} unchanged, but recommendations has {found} of its rows: run that hour again"
            )

    def abort(self, error: Exception) -> LeaseLost | None:
        """Give the lease back and mark the attempt. Returns what to say where somebody else had taken the lease."""
        lost, said = None, str(error)
        try:
            found = self.store.read_control()
            if found is not None and found.current == self.number:
                return None  # it was switched to, without our hearing of it: the next run merges it
            if found is not None and still_held(found, self.leased):
                self.store.swap_control(found, found.given_up())
            elif not isinstance(error, GateFailed):
                holder = f"attempt {found.lease} took over" if found and found.lease else "an operator ended it"
                said = f"attempt {self.number} was stopped: {holder}; what readers see is not touched by it"
                lost = LeaseLost(said)
        except TopshelfError as away:
            # The next attempt takes the lease over; what went wrong first is what counts.
            said = f"{said} (and the store could not be told: {away})"
        if self.entry:
            self._note("aborted", error=said[:1000])
            self.ledger.write()
        return lost

    def _note(self, state: str, **more: Any) -> None:
        self.entry |= {"state": state, "noted_at": self.now(), **more}
        self.ledger.add(self.entry)
