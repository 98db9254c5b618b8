"""The curve of new users: how good their first lists are after no event, one, three and ten, by whoever makes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console

from bench.lines import emit, progress
from bench.relevance import pipeline, welcome
from bench.relevance.interactions import Interactions
from bench.relevance.measuring import SHOWN, Values, accuracy
from bench.relevance.newcomers import COUNTS, PARTS, newcomers
from bench.relevance.report import WIDTH, case_of
from cli.output import table
from conf.settings import Settings
from models.metrics import bootstrap_means, interval

NAME: Final = "new-users"
SEGMENT, REAL_TIME, TOWER = "segment popularity", "real-time vector", "user tower"
Curve = dict[int, dict[str, dict[str, Values]]]
"""By count of events, system and measure: one value a user."""


def measure(
    root: Path, whole: Settings, data: Interactions, seeds: Sequence[int], overrides: Sequence[str], resamples: int
) -> None:
    """Take another fifth of the users for new ones with each seed, learn from the others, and print the curve.

    whole: of the home that has all of the data; seeds: at most PARTS, the first is that of the intervals, too.

    Raises:
        SystemExit: no user has enough positives.
    """
    found: defaultdict[int, defaultdict[str, list[dict[str, Values]]]] = defaultdict(lambda: defaultdict(list))
    for part, seed in enumerate(seeds[:PARTS]):
        parts = newcomers(data, part)
        if not len(parts.users):
            raise SystemExit(f"no new user has the {COUNTS[-1]} positives, and some more, that the curve is made of")
        progress(f"part {part + 1}: learning from all but {len(parts.users)} users")
        training, home = root / f"training-{seed}", root / f"seed-{seed}"
        pipeline.write_training(whole, data, parts.split, training)
        pipeline.topshelf(home, None, overrides, "import", str(training), "--json")
        pipeline.topshelf(home, seed, overrides, "run", "--json")
        service = welcome.service(pipeline.settings_of(home, overrides), whole, data, parts.users)
        systems = {SEGMENT: service.segment, **welcome.peers(parts), REAL_TIME: service.real_time, TOWER: service.tower}
        for count in COUNTS:
            known = parts.after(count)
            for name, lists in systems.items():
                found[count][name].append(accuracy(lists(known), known))
    curve = {
        count: {name: {measure: np.concatenate([one[measure] for one in some]) for measure in SHOWN}
                for name, some in by.items()}
        for count, by in found.items()
    }  # fmt: skip
    lines(curve, resamples, seeds[0])
    tables(curve)


def lines(curve: Curve, resamples: int, seed: int) -> None:
    """Means beside the real-time vector's, with 95% intervals over users, and those of the differences, paired."""
    for count, systems in curve.items():
        for measure in SHOWN:
            values = np.stack([by[measure] for by in systems.values()])
            drawn = bootstrap_means(values, resamples, seed)
            base, drawn_base = (rows[..., list(systems).index(REAL_TIME)] for rows in (values.mean(1), drawn))
            for row, name in enumerate(systems):
                case, users, mean = case_of(NAME, str(count), name), values.shape[1], float(values[row].mean())
                other = (None, []) if name == REAL_TIME or not base else (REAL_TIME, [float(base)])
                emit(f"{case}.{measure}", [mean], "of 1", users, *other)
                low, high = interval(drawn[:, row])
                emit(f"{case}.{measure}.interval", [low, mean, high], "of 1", users)
                if name != REAL_TIME:
                    low, high = interval(drawn[:, row] - drawn_base)
                    minus = case_of(NAME, str(count), name, "minus", REAL_TIME)
                    emit(f"{minus}.{measure}.interval", [low, mean - float(base), high], "of 1", users)


def tables(curve: Curve) -> None:
    """What the lines say, to read."""
    console = Console(stderr=True, highlight=False, width=WIDTH)
    users = len(next(iter(curve[COUNTS[0]].values()))[SHOWN[0]])
    for measure in SHOWN:
        body = [[name, *(f"{curve[count][name][measure].mean():.4f}" for count in COUNTS)] for name in curve[COUNTS[0]]]
        heads = [f"{count} events" for count in COUNTS]
        console.print(table([measure, *heads], body, range(1, len(heads) + 1), f"{users:,} new users"))
