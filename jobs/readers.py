"""What readers had when an hour was scored: what its lists are compared with, also when it is scored again later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf.hours import Hour
from conf.settings import Settings
from jobs import manifests
from jobs.lake import Lake
from jobs.ledger import Ledger, newest_rows
from jobs.tables import PLANS, PUBLISHED
from stores.control import MERGED, Control

ALL_CHANGED = "what readers had before it is gone: every list counts as changed"


@dataclass(frozen=True)
class Readers:
    """published: rows of PUBLISHED; left: rows of PLANS that attempts left behind, None where there are none.

    hidden: those attempts; versions: Delta versions of the two tables; control: the store's record of that time.
    """

    control: Control
    published: DataFrame
    left: DataFrame | None
    hidden: tuple[int, ...]
    versions: dict[str, int | None]
    note: str = ""
    """The record as the hour's manifest is to keep it; empty: what it was then is not known."""
    backfill: str = ""
    """Of an hour that is earlier than what readers have: as of what its lists are compared; empty: it is not."""
    made: Mapping[str, Any] | None = None
    """What the ledger's manifest says their generation was made with; None: the ledger does not know it."""


def present(lake: Lake, control: Control, now: datetime) -> Readers:
    """As they are. Brings published up to what the control record says first."""
    ledger = Ledger(lake, control.store_id)
    ledger.heal(control, now)
    versions = lake.versions(PUBLISHED, PLANS)
    hidden = tuple(ledger.hidden(control))
    # Who was forgotten is nothing to keep in a file of an hour, and the rest is no matter of its lists.
    note = replace(control, barrier=None, trending=None, takedowns=()).to_json()
    left, made = ledger.left_behind(control), ledger.manifest(control.current)
    return Readers(control, lake.read(PUBLISHED), left, hidden, versions, note, made=made)


def past(lake: Lake, hour: Hour, settings: Settings, control: Control) -> Readers:
    """As they were when `hour` was scored in time. Writes nothing.

    By the hour's own manifest; where it has none, as the ledger has it that they were before the first publication of
    this hour or a later one; where that is gone, too, they had nothing.
    """
    noted = _noted(lake, hour, settings, control)
    if noted is not None:
        return noted
    entries = Ledger(lake, control.store_id).entries
    later = [
        number
        for number, entry in entries.items()
        if entry["state"] in MERGED and entry["hour"].astimezone(UTC) >= hour.start
    ]
    version = entries[min(later)]["base_version"] if later else None
    alone = replace(control, rollout=None, current=0, live=())
    if version is None or not lake.readable(PUBLISHED, version):
        return Readers(alone, lake.read(PUBLISHED).limit(0), None, (), {PUBLISHED.name: None}, backfill=ALL_CHANGED)
    said = f"compared with what readers had before generation {min(later)}, as the ledger has it"
    return Readers(alone, lake.read(PUBLISHED, version), None, (), {PUBLISHED.name: version}, backfill=said)


def _noted(lake: Lake, hour: Hour, settings: Settings, control: Control) -> Readers | None:
    known = manifests.scored_before(settings, hour)
    if known is None or not known.control:
        return None
    then = Control.from_json(known.control)
    versions = {name: known.versions.get(name) for name in (PUBLISHED.name, PLANS.name)}
    published, plans = versions.values()
    gone = [
        table.name
        for table, version in ((PUBLISHED, published), (PLANS, plans if known.hidden else None))
        if version is not None and not lake.readable(table, version)
    ]
    if then.store_id != control.store_id or gone:
        return None
    rows = lake.read(PUBLISHED).limit(0) if published is None else lake.read(PUBLISHED, published)
    left = None
    if known.hidden and plans is not None:
        left = newest_rows(lake.read(PLANS, plans).where(F.col("generation").isin(list(known.hidden))))
    said = f"compared with what readers had when it was scored in time, generation {then.current}"
    return Readers(then, rows, left, tuple(known.hidden), versions, known.control, said)
