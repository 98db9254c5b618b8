"""`topshelf run`: the hourly pipeline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import nan
from typing import TYPE_CHECKING

import click

from cli.context import Context, pass_context, set_option

if TYPE_CHECKING:
    from dagster_project.launch import RunSummary

CUTOFFS = (10, 20, 50)
MEASURES = ("recall", "ndcg", "mrr")
MODELS = ("popularity", "two_tower", "item_item", "lists")


@click.command()
@click.option(
    "--hour",
    metavar="HOUR",
    help="Such as 2026-11-23T05 (UTC). Default: of live data the last full hour, of a finished record its last one.",
)
@click.option("--force", is_flag=True, help="Train anew, and reuse nothing of the last training.")
@click.option("--republish", is_flag=True, help="Publish an hour that is not later than the current one.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as a JSON object.")
@set_option
@pass_context
def run(context: Context, hour: str | None, force: bool, republish: bool, as_json: bool) -> None:
    """Run one hour: features, models when they are due, lists, publication.

    Prints what each step took and how good the model's lists are on what was held out. Running an hour again
    gives the same lists, so nothing new to publish. What would change what is being served without being later
    than it is refused, unless --republish says that it is meant.

    \b
    topshelf run
    topshelf run --hour 2026-11-23T05 --force --republish
    """
    from conf.hours import Hour
    from dagster_project.launch import run_hour

    def report(line: str) -> None:
        if as_json:
            click.echo(line, err=True)
        else:
            context.console.print(f"  {line}", style="dim", markup=False)

    summary = run_hour(
        context.settings,
        Hour.parse(hour) if hour else None,
        force=force,
        republish=republish,
        overrides=context.overrides,
        report=report,
    )
    if as_json:
        click.echo(json.dumps(_as_dict(summary), indent=1))
    else:
        _print(context, summary)


def _as_dict(summary: RunSummary) -> dict[str, object]:
    return {
        "hour": str(summary.hour),
        "generation": summary.generation,
        "steps": [{"step": name, "seconds": seconds} for name, seconds in summary.steps],
        "metrics": dict(summary.metrics),
        "counts": dict(summary.counts),
    }


def _print(context: Context, summary: RunSummary) -> None:
    from cli.output import table

    console = context.console
    total = sum(seconds for _, seconds in summary.steps)
    steps = [(name, f"{seconds:.1f}") for name, seconds in summary.steps]
    console.print(table(["step", "seconds"], [*steps, ("all", f"{total:.1f}")], [1], f"Hour {summary.hour}"))
    if summary.counts:
        counts = [(name.replace("_", " "), f"{count:,}") for name, count in summary.counts.items()]
        console.print(table(["", "rows"], counts, [1]))
    columns, body = metric_rows(summary.metrics)
    if body:
        console.print(
            table(columns, body, range(1, len(columns)), "On what was held out (full ranking, seen items masked)")
        )
    served = "nothing published" if summary.generation is None else f"generation {summary.generation} is live"
    console.print(f"{summary.hour}: {served}")


def metric_rows(metrics: Mapping[str, float]) -> tuple[list[str], list[list[str]]]:
    """A row for each measure and cut-off K, a column for each model that was measured, from `model.measure@K`."""
    models = [model for model in MODELS if any(name.startswith(f"{model}.") for name in metrics)]
    body = [
        [f"{measure}@{k}", *(f"{metrics.get(f'{model}.{measure}@{k}', nan):.4f}" for model in models)]
        for measure in MEASURES
        for k in CUTOFFS
        if any(f"{model}.{measure}@{k}" in metrics for model in models)
    ]
    return ["", *models], body
