"""rollout: bring a new model to users step by step, or take it back, by what users do with its lists.

The control record says how far a rollout has come, so that one small write decides for every reader; the registry and
its history follow it. Run once an hour, after the hour's publication.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from pyspark.sql import functions as F

from conf.hours import Hour
from conf.settings import Settings
from jobs.lake import Lake
from jobs.manifests import has_later
from jobs.outcomes import MOMENTS, Lift, lift
from jobs.registry import DEPLOYED, VALIDATING, Model, Registry
from jobs.shadow import TOP, compared, estimated_clicks
from jobs.tables import OUTCOMES
from stores.base import CHALLENGER, CHAMPION, Store
from stores.changing import change_control
from stores.control import Control
from stores.rollout import ABORTED, HELD, RUNNING, Rollout

SHADOW = "shadow"
SHARP_AT = 0.05
"""The change of a rate for which intervals are made to be narrowest."""


@dataclass(frozen=True)
class Decision:
    """action: wait, advance, hold or abort; note: why; evidence: the numbers behind it."""

    action: str
    note: str
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Result:
    """How it stands: None where there is no rollout. `said` is what was done, in words, for a person."""

    rollout: Rollout | None
    decision: Decision | None
    said: str
    alarming: bool = False
    """Whether an operator should hear of it."""
    changed: bool = False
    """Whether a model's status or share of users did."""


def run(lake: Lake, hour: Hour, settings: Settings, store: Store, now: datetime) -> Result:
    """Follow what operators did, then begin a rollout that waits, or decide about the one under way."""
    registry = Registry(lake, settings)
    control = store.read_control()
    if control is None or control.generation() is None:
        return Result(None, None, "nothing is published yet")
    rollout = control.rollout
    if has_later(control, hour):
        return Result(rollout, None, "nothing is decided by an hour earlier than what readers have")
    if rollout is None:
        return _begin(registry, settings, store, now)
    model = registry.find(rollout.model_id)
    if model is not None and model.status == DEPLOYED:
        return Result(rollout, None, f"{model.version} is deployed: the next publication makes its lists everybody's")
    if rollout.state != ABORTED and (model is None or not model.intact()):
        rollout = _change(store, rollout, lambda known: known.aborted("its files are gone"))
    if model is None or rollout.state == ABORTED:
        return _end(registry, store, model, rollout, now)
    decision = decide(lake, rollout, control, hour, settings)
    return _done(registry, store, model, rollout, decision, now)


def _begin(registry: Registry, settings: Settings, store: Store, now: datetime) -> Result:
    waiting = [model for model in registry.models(VALIDATING) if model.intact()]
    if not waiting or not settings.rollout.steps:
        return Result(None, None, "no model waits to be tried")
    newest, *older = waiting
    for model in older:
        registry.retire(model, now, f"{newest.version} came before it was tried")
    steps, salt = settings.rollout.steps, f"{settings.rollout.salt}/{newest.model_id}"
    rollout = Rollout(newest.model_id, newest.version, salt, steps, 0, RUNNING, now.isoformat(), "passed the gate")
    change_control(store, lambda known: known.with_rollout(rollout), "")
    registry.serves(newest, 0, SHADOW, now, "its shadow begins", {})
    return Result(
        rollout,
        None,
        f"the shadow of {newest.version} begins: lists for {steps[0]}% of users, not served",
        changed=True,
    )


def _done(
    registry: Registry, store: Store, model: Model, rollout: Rollout, decision: Decision, now: datetime
) -> Result:
    """Do what was decided, the control record first."""
    since, note = now.isoformat(), decision.note
    if decision.action == "advance" and rollout.complete:
        registry.deploy(model, now, note)
        return Result(rollout, decision, f"{model.version} is deployed: {note}", changed=True)
    step: Callable[[Rollout], Rollout] | None = {
        "advance": lambda known: known.advanced(since, note),
        "hold": lambda known: known.held(note),
        "abort": lambda known: known.aborted(note),
    }.get(decision.action)
    if step is None or (decision.action == "hold" and rollout.state == HELD):
        return Result(rollout, decision, f"{model.version} serves {rollout.percent}% of users: {note}")
    after = _change(store, rollout, step)
    if after.state == ABORTED:
        return _end(registry, store, model, after, now, decision)
    registry.serves(model, after.percent, after.state, now, note, decision.evidence)
    held = after.state == HELD
    how = f"is held at {after.percent}%" if held else f"serves {after.percent}% of users from now on"
    return Result(after, decision, f"{model.version} {how}: {note}", held, True)


def _end(
    registry: Registry,
    store: Store,
    model: Model | None,
    rollout: Rollout,
    now: datetime,
    decision: Decision | None = None,
) -> Result:
    """Forget a rollout that was aborted. Its model is retired first, so that none that died here is tried again."""
    if model is not None:
        registry.retire(model, now, rollout.note, None if decision is None else decision.evidence)
    change_control(store, lambda known: known.with_rollout(None), "")
    return Result(None, decision, f"{rollout.model_version} was taken back: {rollout.note}", True, True)


def _change(store: Store, seen: Rollout, step: Callable[[Rollout], Rollout]) -> Rollout:
    """The rollout after `step`, in the control record; as an operator left it, where one came before."""

    def changed(control: Control) -> Control:
        return control.with_rollout(step(seen)) if control.rollout == seen else control

    after = change_control(store, changed, "there is no rollout")[1].rollout
    assert after is not None
    return after


def decide(lake: Lake, rollout: Rollout, control: Control, hour: Hour, settings: Settings) -> Decision:
    """What the next step is, by what is known at the end of `hour`. Looks may be as many as one likes."""
    began = datetime.fromisoformat(rollout.since)
    hours = max((hour.end - began) / timedelta(hours=1), 0.0)
    if rollout.step == 0:
        return _of_shadow(lake, hour, rollout, control, hours, settings)
    if rollout.complete:  # there is nobody left to compare with
        lasted = f"{hours:.0f} of {settings.rollout.step_hours} hours with all users"
        return Decision("advance" if hours >= settings.rollout.step_hours else "wait", lasted, {})
    return judged(rollout, _lift(lake, began, settings), hours, settings)


def judged(rollout: Rollout, found: Lift | None, hours: float, settings: Settings) -> Decision:
    """The decision about a step that has lasted so long."""
    limits = settings.rollout
    least = min(found.users, found.other_users) if found else 0
    if found is None or least < limits.min_users:
        text = f"{least:,} users with impressions in a variant, {limits.min_users:,} are needed"
        action = "hold" if hours >= limits.max_hours and rollout.state != HELD else "wait"
        return Decision(action, text, {"hours": round(hours, 2), "users": least})
    changes = found.changes
    said = ", ".join(
        f"{name} {each.value:+.1%} ({each.low:+.1%} to {each.high:+.1%})"
        for name, each in changes.items()
        if not math.isnan(each.value)
    )
    harmless = all(each.low > -limits.margin for each in changes.values())
    if any(each.high < 0 for each in changes.values()):
        action, note = "abort", f"users do less with its lists: {said}"
    elif rollout.state == HELD:
        action, note = "wait", f"held; {said}"
    elif hours < limits.step_hours:
        action, note = "wait", f"{hours:.0f} of {limits.step_hours} hours; {said}"
    elif harmless:
        action, note = "advance", said
    elif hours >= limits.max_hours:
        action, note = "hold", f"undecided after {hours:.0f} hours: {said}"
    else:
        action, note = "wait", said
    evidence = {name: _rounded(asdict(each)) for name, each in changes.items()}
    return Decision(action, note, {"hours": round(hours, 2), "users": found.users, **evidence})


def _rounded(fields: dict[str, float]) -> dict[str, float | None]:
    return {name: round(value, 5) if math.isfinite(value) else None for name, value in fields.items()}


def _lift(lake: Lake, began: datetime, settings: Settings) -> Lift | None:
    """Of the challenger from the champion since a step began."""
    first = Hour.of(began)
    if first.start < began:  # in part of that hour the step's new users were the champion's
        first = Hour(first.end)
    later = (F.col("date") > F.lit(first.date)) | (
        (F.col("date") == F.lit(first.date)) & (F.col("hour") >= first.start.hour)
    )
    rows = lake.spark.sql(MOMENTS, outcomes=lake.read(OUTCOMES).where(later)).collect()
    limits = settings.rollout
    return lift([row.asDict() for row in rows], CHALLENGER, CHAMPION, limits.alpha, SHARP_AT)


def _of_shadow(
    lake: Lake, hour: Hour, rollout: Rollout, control: Control, hours: float, settings: Settings
) -> Decision:
    """By the lists alone: nobody has seen them. What the log says of clicks on them is told, and decides nothing."""
    made = control.generation()
    if made is None or made.challenger is None or made.challenger.model_id != rollout.model_id:
        return Decision("wait", "its first lists come with the next publication", {})
    evidence = compared(lake, made.challenger.since, control.store_id)
    evidence["hours"] = round(hours, 2)
    evidence |= estimated_clicks(lake, hour, made.challenger.since, control.store_id)
    said = (
        f"{evidence['lists']:,} lists have {evidence['overlap']:.0%} of the champion's first {TOP}, "
        f"mean score {evidence['score']:.3f} instead of {evidence['champion_score']:.3f}"
    )
    if evidence["lists"] and evidence["overlap"] < settings.rollout.min_overlap:
        return Decision("abort", f"its lists are too different to be right: {said}", evidence)
    if rollout.state == HELD or hours < settings.rollout.shadow_hours or not evidence["lists"]:
        return Decision("wait", f"{hours:.0f} of {settings.rollout.shadow_hours} hours; {said}", evidence)
    return Decision("advance", said, evidence)
