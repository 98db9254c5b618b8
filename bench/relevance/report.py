"""A benchmark's JSON lines on standard output, and tables for people on standard error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.lines import emit
from bench.relevance.measuring import LIST_K, SHOWN, Intervals, Measured, Values
from bench.relevance.pipeline import Stored
from cli.output import table

UNITS = {"novelty": "bits", "calibration error": "nats"}
WIDTH = 140


def lines(kind: str, measured: Measured, reference: str, means: Intervals, differences: Intervals) -> None:
    """One line a system and measure, over the seeds, beside the reference; `.interval`: value and spread over users."""
    users = len(measured.split.measured)

    def over_seeds(system: str, case: str, measure: str, values: Values, other: Values, n: int) -> None:
        compared = system != reference and bool(other.mean())
        peers = np.full(len(values), other.mean()).tolist() if compared else []
        emit(case_of(kind, system, case), values.tolist(), _unit(measure), n, reference if compared else None, peers)

    for system, by in measured.accuracy.items():
        for measure, values in by.items():
            own = values.mean(1)
            over_seeds(system, measure, measure, own, measured.accuracy[reference][measure].mean(1), users)
            low, high = means[system][measure]
            emit(case_of(kind, system, measure, "interval"), [low, float(own.mean()), high], _unit(measure), users)
            if system != reference:
                low, high = differences[system][measure]
                middle = float(own.mean() - measured.accuracy[reference][measure].mean())
                case = case_of(kind, system, "minus", reference, measure, "interval")
                emit(case, [low, middle, high], _unit(measure), users)
        for measure, values in measured.variety[system].items():
            case = f"{measure}@{LIST_K}"
            over_seeds(system, case, measure, values, measured.variety[reference][measure], users)
    for segment, (count, systems) in measured.segments.items():
        for system, by in systems.items():
            for measure, values in by.items():
                over_seeds(system, f"{segment} {measure}", measure, values, systems[reference][measure], count)


def said_of_runs(runs: Sequence[Stored], positives: int) -> None:
    """What the runs themselves print: seconds, and the measures of each stage on their own hold-out."""
    emit("topshelf.training", [run.steps["models"] for run in runs], "s", positives)
    emit("topshelf.run", [sum(run.steps.values()) for run in runs], "s", positives)
    for name in sorted(runs[0].metrics):
        if name.endswith(SHOWN):
            emit(f"reported.{name}", [run.metrics[name] for run in runs], "of 1", positives)


def tables(kind: str, measured: Measured, reference: str, means: Intervals, differences: Intervals) -> None:
    """What the lines say, to read."""
    console = Console(stderr=True, highlight=False, width=WIDTH)
    users, held = len(measured.split.measured), len(measured.split.relevant[1])
    title = f"By {kind}: {users:,} users, {held:,} items held out, {len(measured.split.training.items):,} learnt from"
    console.print(_rows(title, measured.accuracy, lambda values: f"{values.mean():.4f}"))
    for measure in SHOWN:
        console.print(_certainty(measure, measured, reference, means, differences))
    console.print(_rows(f"The lists' first {LIST_K}", measured.variety, lambda values: f"{values.mean():.4f}"))
    for measure in SHOWN:
        body = [
            [system.name, *(f"{systems[system.name][measure].mean():.4f}" for _, systems in measured.segments.values())]
            for system in measured.systems
        ]
        heads = [f"{segment}\n({count:,} users)" for segment, (count, _) in measured.segments.items()]
        console.print(table([measure, *heads], body, range(1, len(heads) + 1), f"{measure} by segment"))


def _certainty(measure: str, measured: Measured, reference: str, means: Intervals, differences: Intervals) -> Table:
    """Means with their 95% intervals over users, their spread over seeds, and the difference to the reference."""
    body = []
    for system, by in measured.accuracy.items():
        seeds = by[measure].mean(1)
        low, high = means[system][measure]
        less, more = differences[system][measure]
        body.append(
            [
                system,
                f"{seeds.mean():.4f}",
                f"{low:.4f} to {high:.4f}",
                "" if system == reference else f"{less:+.4f} to {more:+.4f}",
                f"{seeds.min():.4f} to {seeds.max():.4f}" if len(seeds) > 1 else "",
            ]
        )
    columns = [measure, "mean", "95% over users", f"95% of what it is above {reference}", "over seeds"]
    return table(columns, body, range(1, len(columns)), f"How sure {measure} is")


def _rows(title: str, found: Mapping[str, Mapping[str, Values]], shown: Callable[[Values], str]) -> Table:
    measures = list(next(iter(found.values())))
    body = [[system, *(shown(by[measure]) for measure in measures)] for system, by in found.items()]
    return table(["", *measures], body, range(1, len(measures) + 1), title)


def case_of(*parts: str) -> str:
    """The parts in lower case, with a dash for what is no letter, number, @ or +."""
    return ".".join(re.sub(r"[^a-z0-9@+]+", "-", part.lower()).strip("-") for part in parts)


def _unit(measure: str) -> str:
    return UNITS.get(measure, "of 1")
