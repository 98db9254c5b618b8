"""The gate: what lists must be like before readers are switched to them. It looks at the plan, before it is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from conf.errors import PermanentError
from conf.hours import Hour
from conf.publication_settings import Gate
from conf.settings import Settings
from jobs.catalogue import arrays_of
from jobs.events import since, window_start
from jobs.lake import Lake
from jobs.ledger import KEY
from jobs.tables import PLANS, PUBLISHED, USER_FEATURES
from models.listcheck import TOP, Lists, ListStats, measure
from stores.artefact import Artefact, load_artefact
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
EXAMPLES = 5
"""Users and items named by a check that fails."""
_SUMS = pa.schema(
    [
        *((name, pa.int64()) for name in ("lists", "short", "forbidden", "compared")),
        ("overlap", pa.float64()),
        *((name, pa.list_(pa.float64())) for name in ("new_scores", "old_scores")),
        ("item_no", pa.list_(pa.int32())),
        ("places", pa.list_(pa.int64())),
        *((name, pa.list_(pa.string())) for name in ("examples", "brief")),
    ]
)


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
) -> tuple[Check, ...]:
    """Check the champion's planned lists of `attempt` against those live now, the catalogue, and gate.*."""
    planned = _planned(lake, attempt, CHAMPION)
    stats, forbidden, brief = _measure(lake, planned, hour, settings, control, artefact_id)
    active, covered = _coverage(lake, planned, hour, settings, control)
    items = int(load_artefact(settings.artefacts_path, artefact_id, verify=False).active.sum())
    return _judge(settings.gate, stats, items, active, covered, forbidden, brief)


def of_challenger(
    lake: Lake, attempt: int, hour: Hour, settings: Settings, control: Control, artefact_id: str
) -> tuple[Check, ...]:
    """Check the challenger's planned lists for what no list may be. That they differ from others is what is tried."""
    found = _measure(lake, _planned(lake, attempt, CHALLENGER), hour, settings, control, artefact_id)
    stats, forbidden, brief = found
    judged = _judge(settings.gate, stats, stats.lists, stats.lists, stats.lists, forbidden, brief)
    return tuple(check for check in judged if check.name in OF_ANY_LIST)


def _planned(lake: Lake, attempt: int, variant: str) -> DataFrame:
    return lake.read(PLANS).where((F.col("generation") == attempt) & (F.col("variant") == variant))


def refused(rejected: int, planned: int, gate: Gate) -> Check:
    """The check that can only be made after the load: what share of the rows the store refused."""
    share = rejected / planned if planned else 0.0
    text = f"the store refused {rejected:,} of {planned:,} rows; the table publication_rejects has each with its reason"
    return _at_most("rejected_rows", share, gate.max_rejected, text)


def _judge(
    gate: Gate, stats: ListStats, items: int, active: int, covered: int, forbidden: list[str], brief: list[str]
) -> tuple[Check, ...]:
    top, lists = f"first {TOP}", f"{stats.lists:,} lists"
    return (
        _at_least(
            "coverage",
            covered / active if active else 1,
            gate.min_coverage,
            f"{covered:,} of {active:,} active users have a list with an item",
        ),
        _at_most(
            "short_lists",
            stats.short / stats.lists if stats.lists else 0,
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
            stats.mean_overlap,
            gate.min_overlap,
            f"{stats.mean_overlap:.1%} of the {top} before are in the {top} now ({stats.compared:,} lists compared)",
        ),
        _at_most(
            "score_drift",
            stats.drift,
            gate.max_score_drift,
            f"the mean score of the {top} moved by {stats.drift:.2f} standard deviations",
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


def _coverage(lake: Lake, planned: DataFrame, hour: Hour, settings: Settings, control: Control) -> tuple[int, int]:
    """Users active as of the hour, and how many of them have a list with an item once the plan is live."""
    start = window_start(hour.end, settings.features.activity_window_days)
    seen = F.col("last_active").isNotNull() & since("last_active", start)
    # Its newest version may tell of another hour, as where readers are taken back to an earlier one.
    features = lake.state(USER_FEATURES, hour) if lake.exists(USER_FEATURES) else lake.read(USER_FEATURES)
    users = features.where(seen).select("user_id")
    live = lake.read(PUBLISHED).where((F.col("store_id") == control.store_id) & (F.col("variant") == CHAMPION))
    kept = live.join(planned.select(*KEY), on=KEY, how="left_anti")
    filled = F.size("items") > 0
    served = kept.where(filled).select("user_id").unionByName(planned.where(filled).select("user_id")).distinct()
    found = users.join(served.withColumn("served", F.lit(1)), on="user_id", how="left")
    row = found.agg(F.count("*").alias("active"), F.count("served").alias("covered")).first()
    assert row is not None  # an aggregate without groups has one row
    return row["active"], row["covered"]


def _measure(
    lake: Lake, planned: DataFrame, hour: Hour, settings: Settings, control: Control, artefact_id: str
) -> tuple[ListStats, list[str], list[str]]:
    """The sums over all planned lists; examples of forbidden items; users with short lists."""
    old = lake.read(PUBLISHED).where(F.col("store_id") == control.store_id).select(*KEY, F.col("items").alias("old"))
    pairs = planned.select(*KEY, "items", "region", "maturity_limit").join(old, on=KEY, how="left")
    measured = pairs.select("user_id", "region", "maturity_limit", *_columns("items", "new"), *_columns("old", "old"))
    root, now, short = settings.artefacts_path, hour.end.timestamp(), settings.gate.short_list

    def worker(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        artefact = _artefact(root, artefact_id)
        for batch in batches:
            yield _sums(batch, artefact, now, short)

    total = ListStats.none(len(load_artefact(root, artefact_id, verify=False)))
    forbidden, brief = list[str](), list[str]()
    for row in measured.mapInArrow(worker, from_arrow_schema(_SUMS)).toLocalIterator():
        places = np.zeros(len(total.places), np.int64)
        places[row["item_no"]] = row["places"]
        total += ListStats(
            row["lists"],
            row["short"],
            row["forbidden"],
            row["compared"],
            row["overlap"],
            np.array(row["new_scores"]),
            np.array(row["old_scores"]),
            places,
        )
        forbidden, brief = (forbidden + row["examples"])[:EXAMPLES], (brief + row["brief"])[:EXAMPLES]
    return total, forbidden, brief


def _columns(listed: str, prefix: str) -> list[Column]:
    """A list's item_nos and scores as two plain arrays, empty where there is no list."""
    return [
        F.coalesce(F.col(f"{listed}.{name}"), F.array().cast(f"array<{kind}>")).alias(f"{prefix}_{name}")
        for name, kind in (("item_no", "int"), ("score", "float"))
    ]


@lru_cache(maxsize=1)
def _artefact(root: Path, artefact_id: str) -> Artefact:
    return load_artefact(root, artefact_id, verify=False)


def _sums(batch: pa.RecordBatch, artefact: Artefact, now: float, short: int) -> pa.RecordBatch:
    new, old = _lists(batch, "new"), _lists(batch, "old")
    regions = batch.column("region").to_pylist()
    stats, wrong = measure(
        new,
        old,
        batch.column("maturity_limit").to_numpy(zero_copy_only=False).astype(np.uint8),
        np.array([artefact.region_bits(region) for region in regions], np.uint64),
        arrays_of(artefact),
        now,
        short,
    )
    users, owner = batch.column("user_id"), new.owner()
    row = {
        "lists": stats.lists,
        "short": stats.short,
        "forbidden": stats.forbidden,
        "compared": stats.compared,
        "overlap": stats.overlap,
        "new_scores": stats.new_scores.tolist(),
        "old_scores": stats.old_scores.tolist(),
        "item_no": np.flatnonzero(stats.places).tolist(),
        "places": stats.places[stats.places > 0].tolist(),
        "examples": [
            f"item {_item(artefact, new.item_no[place])} for user {users[int(owner[place])].as_py()}"
            for place in wrong[:EXAMPLES]
        ],
        "brief": [f"user {users[int(user)].as_py()}" for user in np.flatnonzero(new.lengths < short)[:EXAMPLES]],
    }
    return pa.RecordBatch.from_pylist([row], _SUMS)


def _item(artefact: Artefact, number: int) -> str:
    return artefact.item_ids[number] if 0 <= number < len(artefact) else f"number {number}"


def _lists(batch: pa.RecordBatch, prefix: str) -> Lists:
    items, scores = batch.column(f"{prefix}_item_no"), batch.column(f"{prefix}_score")
    lengths = pc.list_value_length(items).to_numpy(zero_copy_only=False).astype(np.int64)
    return Lists(
        np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
        items.flatten().to_numpy(zero_copy_only=False).astype(np.int32),
        scores.flatten().to_numpy(zero_copy_only=False).astype(np.float32),
    )
