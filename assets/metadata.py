"""Counts and tables as Dagster shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import dagster as dg

from assets.plots import over_time
from conf.hours import Hour
from jobs.attempt import Result
from jobs.gate import Check
from jobs.ledger import Entry
from jobs.promotion import Verdict
from jobs.tables import Table

CUTOFFS = (10, 20, 50)
HEADLINES = {"Recall@20": "recall", "NDCG@20": "ndcg"}
MEASURES = ("recall", "ndcg", "mrr")


def column_schema(table: Table) -> dg.TableSchema:
    """A table's columns with their meaning."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                field.name,
                field.dataType.simpleString(),
                field.metadata["comment"],
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in table.schema
        ]
    )


def publication(result: Result) -> dict[str, dg.MetadataValue | float | int | str]:
    """What a publication did, cost and found; nothing but its state where there was nothing to publish."""
    if result.generation is None:
        return {"state": result.state, "scored": result.scored, "unchanged": result.unchanged}
    numbers = asdict(result)
    del numbers["checks"]
    numbers |= {name.replace("_", " "): value for name, value in _values(result.checks).items() if "coverage" in name}
    if result.load_seconds:
        numbers["rows a second"] = round(result.written / result.load_seconds)
    return {**numbers, "gate": checks_table(result.checks)}


def publications(past: Sequence[Entry]) -> dg.MetadataValue:
    """The last publications, oldest first, as curves: catalogue shown, sizes, cost."""
    seen = [_values(Check(**each) for each in entry["checks"]) for entry in past]
    charged = any(entry["dollars"] for entry in past)
    cost = ("Charged", ("$", "dollars")) if charged else ("Time to load", ("s", "load_seconds"))
    return over_time(
        [Hour.of(entry["hour"]).start for entry in past],
        {
            "Items in the first 20 of some list": (
                "% of active items",
                [100 * one.get("item_coverage", 0) for one in seen],
            ),
            "Lists written": ("lists", [entry["written"] for entry in past]),
            "Size of the load": ("MB", [entry["bytes"] / 1e6 for entry in past]),
            cost[0]: (cost[1][0], [entry[cost[1][1]] for entry in past]),
        },
    )


def _values(checks: Iterable[Check]) -> dict[str, float]:
    return {check.name: check.value for check in checks}


def checks_table(checks: Sequence[Check]) -> dg.MetadataValue:
    """What the gate found, a row a check."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "check": check.name,
                    "passed": check.passed,
                    "value": round(check.value, 4),
                    "limit": check.limit,
                    "found": check.text,
                }
            )
            for check in checks
        ]
    )


def judgement(verdict: Verdict) -> dict[str, dg.MetadataValue | bool | str]:
    """How a new model was judged, and beside the one that serves a row a measure and segment, what failed first."""
    rows = [
        dg.TableRecord(
            {
                "measure": one.measure,
                "of": one.segment,
                "users": one.users,
                "serving": round(one.champion, 4),
                "new": round(one.challenger, 4),
                "difference": f"{one.low:+.4f} to {one.high:+.4f}",
                "passed": one.passed,
            }
        )
        for one in sorted(verdict.findings, key=lambda one: one.passed)
    ]
    return {
        "judged": verdict.text,
        "passed": not verdict.reasons,
        **({"refused because": "; ".join(verdict.reasons)} if verdict.reasons else {}),
        **({"beside the one that serves": dg.MetadataValue.table(rows)} if rows else {}),
    }


def metrics_table(metrics: Mapping[str, float]) -> dg.MetadataValue:
    """Hold-out metrics, a row a stage, a column a measure."""
    stages = list(dict.fromkeys(name.partition(".")[0] for name in metrics if "@" in name and not _judged(name)))
    records = [
        dg.TableRecord(
            {
                "lists by": stage,
                **{
                    f"{measure}@{k}": round(metrics[f"{stage}.{measure}@{k}"], 4)
                    for measure in MEASURES
                    for k in CUTOFFS
                    if f"{stage}.{measure}@{k}" in metrics
                },
            }
        )
        for stage in stages
    ]
    return dg.MetadataValue.table(records) if records else dg.MetadataValue.text("no hold-out")


def headline(metrics: Mapping[str, float]) -> dict[str, float]:
    """The numbers of a training that Dagster draws over all trainings."""
    return {
        f"{name} of lists": round(metrics[f"lists.{key}@20"], 4)
        for name, key in HEADLINES.items()
        if f"lists.{key}@20" in metrics
    }


def orders_table(metrics: Mapping[str, float]) -> dg.MetadataValue:
    """What each order of the candidates scored on validation; the best that passed the gate is used."""
    records = [
        dg.TableRecord({"order": name.split(".")[1].replace("_", " "), "ndcg@20": round(value, 4)})
        for name, value in metrics.items()
        if _judged(name) and name.endswith(".ndcg@20")
    ]
    return dg.MetadataValue.table(records) if records else dg.MetadataValue.text("nothing to choose by")


def _judged(name: str) -> bool:
    return name.startswith("valid.")
