"""Counts, tables and plots as Dagster shows them."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import dagster as dg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jobs.attempt import Result
from jobs.gate import Check
from jobs.promotion import Verdict
from jobs.tables import Table
from models.training import TrainReport

CUTOFFS = (10, 20, 50)
PLOTS_A_ROW = 3
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
    if result.load_seconds:
        numbers["rows a second"] = round(result.written / result.load_seconds)
    return {**numbers, "gate": checks_table(result.checks)}


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


def orders_table(metrics: Mapping[str, float]) -> dg.MetadataValue:
    """What each order of the candidates scored on validation; the best that passed the gate is used."""
    records = [
        dg.TableRecord({"order": name.split(".")[1].replace("_", " "), "ndcg@20": round(value, 4)})
        for name, value in metrics.items()
        if _judged(name)
    ]
    return dg.MetadataValue.table(records) if records else dg.MetadataValue.text("nothing to choose by")


def _judged(name: str) -> bool:
    return name.startswith("valid.")


def curves(report: TrainReport) -> dg.MetadataValue:
    """Loss and validation score by epoch, of each stage."""
    lines = {
        f"{stage}: {name}": values
        for stage, by_name in report.curves.items()
        for name, values in by_name.items()
        if len(values) > 1
    }
    return _plot("epoch", lines)


def ranked_scores(title: str, scores: Sequence[float]) -> dg.MetadataValue:
    """A falling curve, such as popularity by rank."""
    return _plot("rank", {title: scores})


def _plot(x_label: str, lines: Mapping[str, Sequence[float]]) -> dg.MetadataValue:
    rows = math.ceil(len(lines) / PLOTS_A_ROW)
    figure = Figure(figsize=(3.6 * min(len(lines), PLOTS_A_ROW), 2.4 * rows), layout="constrained")
    for place, (name, values) in enumerate(lines.items(), start=1):
        axes = figure.add_subplot(rows, min(len(lines), PLOTS_A_ROW), place)
        axes.plot(range(1, len(values) + 1), values, marker="." if len(values) < 30 else "")
        axes.set_title(name, fontsize=9)
        axes.set_xlabel(x_label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=90)
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(image.getvalue()).decode()})")
