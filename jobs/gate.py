"""The gate: what lists must be like before readers are switched to them. It looks at the plan, before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf.errors import PermanentError
from conf.hours import Hour
from conf.publication_settings import Gate
from conf.settings import Settings
from jobs import states
from jobs.events import since, window_start
from jobs.gate_stats import measure_lists, places
from jobs.lake import Lake
from jobs.ledger import KEY
from jobs.tables import PLANS, PUBLISHED, USER_FEATURES
from models.listcheck import TOP, ListStats
from stores.artefact import load_artefact
from stores.base import CHALLENGER, CHAMPION
from stores.control import Control

CHECKS = {
    "coverage": "Active users who have a list with an item",
    "short_lists": "Lists with few items",
    "forbidden_items": "Lists with an item that is inactive, unlicensed or too mature for their user",
    "overlap": "How much of the lists before is in the new ones",
    "score_drift": "How far the mean score has moved",
    "item_coverage": "How many of the active items stand in some list's first places",
    "concentration": "How much of the first places few items take",
    "rejected_rows": "Rows that the store refused",
}
"""Every check, and what it looks at."""
OF_ANY_LIST = ("short_lists", "forbidden_items")


@dataclass(frozen=True)
class Check:
    """One thing that the gate looks at. `text` says in words what was found, with users and items where it failed."""

    name: str
    passed: bool
    value: float
    limit: float
    text: str


class GateFailed(PermanentError):
    """Lists are not fit to be served; what was served goes on being served."""

    def __init__(self, attempt: int, checks: tuple[Check, ...]) -> None:
        self.checks = checks
        failed = "; ".join(f"{check.name}: {check.text}" for check in checks if not check.passed)
        super().__init__(
            f"generation {attempt} did not pass the gate, so readers keep the lists they have. {failed}. "
            "Mend what made the lists so and run the hour again, or change the limits in gate.*"
        )


def evaluate(
    lake: Lake, attempt: int, hour: Hour, settings: Settings, control: Control, artefact_id: str
) -> tuple[tuple[Check, ...], int]:
    """Check the champion's planned lists of `attempt` against those live now, the catalogue, and gate.*.

    Returns:
        The checks, and how many active users would have a list.
    """
    planned = _planned(lake, attempt, CHAMPION)
    stats, forbidden, brief = measure_lists(lake, planned, hour, settings, control, artefact_id)
    users = _active(lake, hour, settings)
    # Without those who are away: theirs would hide what has become of everybody else's.
    kept = _kept(lake, planned, control).join(users, on="user_id", how="left_semi")
    active, covered = _coverage(users, planned, kept)
    items = load_artefact(settings.artefacts_path, artefact_id, verify=False).active
    stats = replace(stats, places=stats.places + places(kept, len(stats.places)) * items)
    return _judge(settings.gate, stats, int(items.sum()), active, covered, forbidden, brief), covered


def of_challenger(
    lake: Lake, attempt: int, hour: Hour, settings: Settings, control: Control, artefact_id: str
) -> tuple[Check, ...]:
    """Check the challenger's planned lists for what no list may be. That they differ from others is what is tried."""
    planned = _planned(lake, attempt, CHALLENGER)
    stats, forbidden, brief = measure_lists(lake, planned, hour, settings, control, artefact_id)
    judged = _judge(settings.gate, stats, stats.lists, stats.lists, stats.lists, forbidden, brief)
    return tuple(check for check in judged if check.name in OF_ANY_LIST)


def _planned(lake: Lake, attempt: int, variant: str) -> DataFrame:
    return lake.read(PLANS).where((F.col("generation") == attempt) & (F.col("variant") == variant))


def refused(rejected: int, planned: int, covered: int, gate: Gate) -> Check:
    """The check that can only be made after the load: of the lists of active users, for an hour may write few."""
    share = rejected / max(planned, covered, 1)
    text = f"the store refused {rejected:,} of {planned:,} rows; the table publication_rejects has each with its reason"
    return _at_most("rejected_rows", share, gate.max_rejected, text)


def _judge(
    gate: Gate, stats: ListStats, items: int, active: int, covered: int, forbidden: list[str], brief: list[str]
) -> tuple[Check, ...]:
    top, lists = f"first {TOP}", f"{stats.lists:,} lists"
    least = min(gate.least_lists, active)
    return (
        _at_least(
            "coverage",
            covered / active if active else 1,
            gate.min_coverage,
            f"{covered:,} of {active:,} active users have a list with an item",
        ),
        _at_most(
            "short_lists",
            stats.short / max(stats.lists, least, 1),
            gate.max_short,
            f"{stats.short:,} of {lists} have fewer than {gate.short_list} items{_named(brief)}",
        ),
        _at_most(
            "forbidden_items",
            stats.forbidden,
            gate.max_forbidden,
            f"{stats.forbidden:,} of {lists} hold an item that is inactive, unlicensed or too mature for their user"
            f"{_named(forbidden)}",
        ),
        _at_least(
            "overlap",
            stats.mean_overlap(least),
            gate.min_overlap,
            f"{stats.mean_overlap():.1%} of the {top} before are in the {top} now ({stats.compared:,} lists compared)",
        ),
        _at_most(
            "score_drift",
            stats.drift(least),
            gate.max_score_drift,
            f"the mean score of the {top} moved by {stats.drift():.2f} standard deviations",
        ),
        _at_least(
            "item_coverage",
            stats.coverage(items),
            gate.min_items,
            f"{np.count_nonzero(stats.places):,} of {items:,} active items stand in the {top} of some list",
        ),
        _at_most(
            "concentration",
            stats.concentration(items),
            gate.max_concentration,
            f"the most frequent 1% of items take {stats.concentration(items):.1%} of all {top} places",
        ),
    )


def _at_least(name: str, value: float, limit: float, text: str) -> Check:
    return Check(name, value >= limit, float(value), float(limit), text)


def _at_most(name: str, value: float, limit: float, text: str) -> Check:
    return Check(name, value <= limit, float(value), float(limit), text)


def _named(examples: list[str]) -> str:
    return f": {', '.join(examples)}" if examples else ""


def _kept(lake: Lake, planned: DataFrame, control: Control) -> DataFrame:
    """The champion's lists that readers have and that stay as they are."""
    live = lake.read(PUBLISHED).where((F.col("store_id") == control.store_id) & (F.col("variant") == CHAMPION))
    return live.join(planned.select(*KEY), on=KEY, how="left_anti")


def _active(lake: Lake, hour: Hour, settings: Settings) -> DataFrame:
    """Users active as of the hour."""
    start = window_start(hour.end, settings.features.activity_window_days)
    seen = F.col("last_active").isNotNull() & since("last_active", start)
    # Its newest version may tell of another hour, as where readers are taken back to an earlier one.
    known = states.read(lake, USER_FEATURES, hour) if lake.exists(USER_FEATURES) else lake.read(USER_FEATURES)
    return known.where(seen).select("user_id")


def _coverage(users: DataFrame, planned: DataFrame, kept: DataFrame) -> tuple[int, int]:
    """How many users are active, and how many of them have a list with an item once the plan is live."""
    lists = kept.select("user_id", "items").unionByName(planned.select("user_id", "items"))
    served = lists.where(F.size("items") > 0).select("user_id").distinct()
    found = users.join(served.withColumn("served", F.lit(1)), on="user_id", how="left")
    ((active, covered),) = found.agg(F.count("*"), F.count("served")).collect()
    return active, covered
