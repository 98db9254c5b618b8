"""One attempt at a publication: from its lease over plan, gate, load and verification to the switch and the merge."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from datetime import datetime
from typing import Any

from pyspark.sql import functions as F

from conf.errors import DataError, TopshelfError
from conf.hours import Hour
from conf.settings import Settings
from jobs import barrier, cost, gate, plan
from jobs.gate import Check, GateFailed
from jobs.lake import Lake
from jobs.ledger import Ledger, first_entry
from jobs.load import Listener, Load, load
from jobs.manifests import Scored, Tried, built_from, remove_unused
from jobs.readback import read_back
from jobs.switch import still_held, switch
from jobs.tables import PUBLISHED, RECOMMENDATIONS
from stores.artefact import load_artefact
from stores.base import CHALLENGER, LeaseLost, Store
from stores.control import Control
from stores.generation import Generation
from stores.rollout import Challenger


@dataclass(frozen=True)
class Result:
    """What a publication did. generation is None where there was nothing to publish.

    scored = changed + unchanged; planned = written + rejected + erased.
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
    erased: int = 0
    """Rows left out, for their users were forgotten since the plan was made."""
    bytes: int = 0
    units: float = 0
    throttled: int = 0
    estimated_dollars: float = 0
    dollars: float = 0
    load_seconds: float = 0
    compared: int = 0
    """Rows read back before the switch."""
    checks: tuple[Check, ...] = ()
    left_out: str = ""
    """Why the lists of a challenger were left out; empty: they were not."""


@dataclass
class Attempt:
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
    erased: int = 0
    left_out: str = ""
    """Why the challenger's lists are not part of it."""
    checks: tuple[Check, ...] = ()
    covered: int = 0
    """Active users who have a list once the plan is live."""
    entry: dict[str, Any] = field(default_factory=dict)
    """Its row of the ledger."""

    @property
    def number(self) -> int:
        return self.leased.attempts

    def prepare(self) -> Control:
        """Plan, check, load and verify, then switch. Returns the control record after the switch."""
        counts = self._plan()
        artefact = load_artefact(self.settings.artefacts_path, self.scored.artefact_id, verify=False)
        made = Generation(
            self.number,
            self.scored.artefact_id,
            self.scored.model_version,
            str(self.hour),
            self.now().isoformat(),
            slots=len(artefact),
            challenger=self._challenger(),
            model_id=self.scored.model_id,
            barred=artefact.forgotten_upto,
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

    def _challenger(self) -> Challenger | None:
        tried, live = self.scored.challenger, self.before.generation()
        if tried is None:
            return None
        known = live.challenger if live is not None else None
        since = known.since if known is not None and known.model_id == tried.model_id else self.number
        return Challenger(tried.model_id, tried.model_version, tried.artefact_id, since)

    def finish(self, after: Control) -> Result:
        """Remember what is live. Nothing in here can take the switch back; the next run repeats what is left of it."""
        self.ledger.merge(after, self.number)
        self._note("current")
        self.ledger.follow(after, self.now())
        self.ledger.write()
        self.ledger.forget_plans(after)
        self.ledger.compact()
        others = {generation.challenger.artefact_id for generation in after.live if generation.challenger is not None}
        kept = {generation.artefact_id for generation in after.live} | others
        remove_unused(self.settings, kept | built_from(self.settings, self.hour))
        shown = {name: self.entry[name] for name in Result.__dataclass_fields__ if name in self.entry}
        mine = {"compared": self.compared, "checks": self.checks, "left_out": self.left_out, "erased": self.erased}
        return Result(**{**shown, **mine})

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
            **({"simpler": self.scored.simpler, "problem": self.scored.problem} if self.scored.problem else {}),
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
        if self.scored.challenger is not None:
            counts = self._check_challenger(self.scored.challenger, counts)
        expected = cost.estimate(
            counts.planned, counts.bytes, counts.units, self.settings, empty_store=self.before.attempts == 0
        )
        self.listener.say(f"generation {self.number}: {expected}" + (f" ({expected.hint})" if expected.hint else ""))
        self.entry |= {
            "planned": counts.planned,
            "carried": counts.carried,
            "estimated_units": expected.units,
            "estimated_dollars": expected.dollars,
            "manifest": json.dumps({**manifest, "lists": self.scored.made(), "lists_checksum": counts.checksum}),
        }
        self._note("planned")
        cost.check_budget(expected, self.settings)
        checks, self.covered = gate.evaluate(
            self.lake, self.number, self.hour, self.settings, self.leased, self.scored.artefact_id
        )
        self._judge(checks)
        self._note("loading")
        self.ledger.write()
        return counts

    def _check_challenger(self, tried: Tried, counts: plan.Counts) -> plan.Counts:
        """Leave the lists of a challenger out that are not fit to be served: its users get the champion's."""
        found = gate.of_challenger(self.lake, self.number, self.hour, self.settings, self.leased, tried.artefact_id)
        failed = [check for check in found if not check.passed]
        if not failed:
            return counts
        said = "; ".join(f"{check.name}: {check.text}" for check in failed)
        self.listener.say(f"generation {self.number}: the lists of {tried.model_version} are left out: {said}")
        self.scored = self.scored.of_champion()
        self.entry |= {name: getattr(self.scored, name) for name in ("scored", "changed", "unchanged")}
        self.left_out = said
        return plan.leave_out(self.lake, self.number, CHALLENGER)

    def _account(self, counts: plan.Counts, done: Load) -> None:
        """Raises DataError unless every planned row was written, refused or erased; GateFailed when too many were
        refused."""
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
            + (f"{done.erased:,} of users who were forgotten left out, " if done.erased else "")
            + f"{done.bytes / 1e6:,.1f} MB{charged}, in {done.seconds:.1f} s"
        )
        if counts.planned != done.written + done.rejected + done.erased:
            raise DataError(
                f"generation {self.number}: {counts.planned} rows planned, {done.written} written, "
                f"{done.rejected} rejected and {done.erased} erased"
            )
        self.erased = done.erased
        if done.erased:
            self.entry["manifest"] = json.dumps({**json.loads(self.entry["manifest"]), "erased": done.erased})
            plan.forget(self.lake, self.number, barrier.load(self.lake, self.settings, self.store.read_control()))
        self._judge((*self.checks, gate.refused(done.rejected, counts.planned, self.covered, self.settings.gate)))
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
