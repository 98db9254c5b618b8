"""upkeep: what keeps the lake from growing without end, and from falling into ever smaller files.

Old partitions are dropped whole, small files joined, replaced files removed, and the files of old models. Nothing goes
that a live generation was made from, that going back to it takes, or that the next hour reads.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from pyspark.sql import Column
from pyspark.sql import functions as F

from conf.hours import Hour
from conf.settings import Settings
from jobs.ingest import drop_ingested
from jobs.lake import Lake
from jobs.manifests import forget_before
from jobs.registry import DEPLOYED, TRAINING, VALIDATING, Registry
from jobs.tables import (
    EVENTS,
    IMPORTS,
    MODELS,
    OUTCOMES,
    POPULARITY,
    PUBLICATIONS,
    RECOMMENDATIONS,
    REJECTED_EVENTS,
    REJECTS,
    ROLLOUTS,
    SERVED,
    TABLES,
    TRAINING_EXAMPLES,
    USER_FEATURES,
    Table,
)
from stores.control import Control

MARGIN = timedelta(days=1)
"""Beyond the oldest live generation: what it was made from was read some time before it was switched to."""
JOINED = (
    USER_FEATURES, EVENTS, SERVED, OUTCOMES, PUBLICATIONS, MODELS, ROLLOUTS, IMPORTS, REJECTS, REJECTED_EVENTS,
)  # fmt: skip
"""Tables that many small commits append to. Training examples are not among them: their files are in an order."""


@dataclass(frozen=True)
class Freed:
    """What was done to one table, or to the models' folder. Bytes are those on disk, replaced files included."""

    name: str
    dropped: int
    """Rows of dropped partitions; of models, versions whose files went."""
    joined: int
    """Small files that became part of larger ones."""
    before: int
    after: int


def run(
    lake: Lake,
    settings: Settings,
    control: Control | None,
    now: datetime,
    say: Callable[[str], None],
    tables: Sequence[Table] = TABLES,
) -> tuple[Freed, ...]:
    """Keep up `tables` and the models. May be repeated, and stopped at any point."""
    keep = _kept_hours(settings, control, now)
    start = _oldest(control)
    done = [_of_table(lake, table, settings, start, keep, say) for table in tables if lake.exists(table)]
    if start is not None:
        forget_before(settings, start[1] - timedelta(days=settings.retention.lists_days))
    segments = 0
    if settings.eventlog.kind == "embedded" and settings.eventlog_path.exists():
        segments = drop_ingested(settings.eventlog_path, now - timedelta(days=settings.retention.log_days))
    say(f"event log: {segments} segments removed that are in the table events")
    models = _of_models(lake, settings, control)
    say(f"models: the files of {models.dropped} old versions removed")
    return (*done, models)


def _oldest(control: Control | None) -> tuple[datetime, date] | None:
    """When the oldest generation that readers can be sent to was made, and the day of its hour."""
    live = [] if control is None else list(control.live)
    if not live:
        return None
    return min(datetime.fromisoformat(each.made_at) for each in live), min(Hour.parse(each.hour).date for each in live)


def _kept_hours(settings: Settings, control: Control | None, now: datetime) -> int:
    """How long replaced files stay: retention.history_days, or until no live generation was made from them."""
    oldest = _oldest(control)
    since = now if oldest is None else oldest[0] - MARGIN
    return max(settings.retention.history_days * 24, math.ceil((now - since) / timedelta(hours=1)))


def _of_table(
    lake: Lake,
    table: Table,
    settings: Settings,
    oldest: tuple[datetime, date] | None,
    keep: int,
    say: Callable[[str], None],
) -> Freed:
    before = lake.disk_bytes(table)
    old = None if oldest is None else _old(table, settings, oldest[1])
    dropped = 0
    if old is not None:
        dropped = lake.read(table).where(old).count()
        if dropped:
            lake.delete(table, old)
    joined = lake.compact(table) if table in JOINED else 0
    lake.remove_replaced(table, keep)
    freed = Freed(table.name, dropped, joined, before, lake.disk_bytes(table))
    say(
        f"{table.name}: {dropped:,} rows dropped, {joined:,} files joined, "
        f"{before / 1e6:,.1f} MB on disk became {freed.after / 1e6:,.1f} MB"
    )
    return freed


def _old(table: Table, settings: Settings, live: date) -> Column | None:
    """Whole partitions that are to go, counted back from the day of the oldest live hour; None: the table keeps all.

    Events stay: features are made of all of them.
    """
    limits = settings.retention
    days = {
        RECOMMENDATIONS.name: limits.lists_days,
        POPULARITY.name: limits.lists_days,
        SERVED.name: limits.served_days,
        REJECTED_EVENTS.name: limits.rejected_days,
        TRAINING_EXAMPLES.name: limits.examples_days,
    }.get(table.name)
    return None if days is None else F.col(table.partitions[0]) < F.lit(live - timedelta(days=days))


def _of_models(lake: Lake, settings: Settings, control: Control | None) -> Freed:
    """Remove the files of versions beyond retention.models, but for those that serve, are tried or could be again."""
    registry, folder = Registry(lake, settings), settings.models_path
    before = _size(folder)
    live = () if control is None else control.live
    wanted = {each.model_id for each in live} | {each.challenger.model_id for each in live if each.challenger}
    wanted |= {model.model_id for model in registry.models(DEPLOYED, VALIDATING, TRAINING)}
    there = [model for model in registry.models() if model.folder.exists()]
    old = [model for model in there[settings.retention.models :] if model.model_id not in wanted]
    for model in old:
        shutil.rmtree(model.folder)
    return Freed("files of models", len(old), 0, before, _size(folder))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
