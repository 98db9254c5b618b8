"""How the cost of lists grows with users, items, and what a user has watched.

\b
    python -m bench.growth                               # reduced sizes
    python -m bench.growth --full                        # 10,000 to 1,000,000 users, and as many items
    python -m bench.growth --of items --plot growth.png

Each is varied by itself while the others stay: all three stages through Spark, written to the table recommendations, as
`bench.scoring` does. Every size is measured in turn with the smallest one, which is its peer, so that what else the
machine does meets both. Prints JSON lines: milliseconds of one user on all cores; the power of the size with which they
grow (0: not at all, 1: as the size does); bytes of memory of all processes at most; bytes of a user's row on disk. In
full it ends with what 50 million users would take.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure
from pyspark.sql import SparkSession

from bench import scoring_world
from bench.lines import emit, progress
from bench.memory import Peak
from bench.scoring import CORES, SEED, write_lists
from bench.worlds import workshop
from conf.loading import load
from conf.settings import Settings
from jobs.cost import GB, dollars
from jobs.lake import Lake
from jobs.list_scoring import Inputs
from jobs.tables import RECOMMENDATIONS
from models.scoring import Scorer

GOAL_USERS = 50_000_000
HOUR = 3600


@dataclass(frozen=True)
class Size:
    """Of a world. watches: of each user, exactly so many."""

    users: int
    items: int
    watches: int

    def with_(self, what: str, value: int) -> Size:
        """With one of the three another."""
        return Size(**{"users": self.users, "items": self.items, "watches": self.watches, what: value})


@dataclass
class Found:
    """Of one size, one value a round; of its peer, the smallest size, those of the same rounds."""

    ms: list[float] = field(default_factory=list)
    peer_ms: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    """Bytes of all processes, at most."""
    disk: float = 0.0
    """Bytes of one user's row."""


REDUCED = Size(4_000, 10_000, 40)
FULL = Size(10_000, 100_000, 100)
SWEEPS: Mapping[str, tuple[Sequence[int], Sequence[int]]] = {
    "users": ((4_000, 16_000, 64_000), (10_000, 100_000, 1_000_000)),
    "items": ((5_000, 20_000, 80_000), (10_000, 100_000, 1_000_000)),
    "watches": ((20, 100, 500), (20, 100, 500)),
}
"""What is varied, over which sizes: reduced, and in full."""


@click.command(help=__doc__)
@click.option("--of", "chosen", type=click.Choice(list(SWEEPS)), multiple=True, help="What to vary; all by default.")
@click.option("--full", is_flag=True, help="The sizes that are stated in docs/performance.md.")
@click.option("--rounds", default=2, show_default=True, type=click.IntRange(min=1), help="Times each is measured.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the curves into a PNG.")
def main(chosen: tuple[str, ...], full: bool, rounds: int, plot: Path | None) -> None:
    base = FULL if full else REDUCED
    curves: dict[str, dict[int, Found]] = {}
    with workshop() as (spark, folder):
        settings = load({"TOPSHELF_HOME": str(folder / "home")}, ("dynamodb.billing=on_demand",)).settings
        bench = Bench(spark, settings, folder)
        bench.measure(base.with_("users", 2_000))  # compiles, and starts workers
        for what in chosen or tuple(SWEEPS):
            sizes = {value: base.with_(what, value) for value in SWEEPS[what][full]}
            curves[what] = bench.sweep(what, sizes, rounds)
    for what, found in curves.items():
        _print(what, found)
    if full and "users" in curves:
        _project(settings, base.items, curves["users"][max(curves["users"])])
    if plot is not None:
        draw(curves, plot)
        progress(f"drawn: {plot}")


class Bench:
    """Makes worlds, and measures them."""

    def __init__(self, spark: SparkSession, settings: Settings, folder: Path) -> None:
        self.lake, self.spark = Lake(spark, settings.lake_root), spark
        self.settings, self.folder = settings, folder
        self._items: tuple[int, Inputs, Scorer] | None = None

    def sweep(self, what: str, sizes: Mapping[int, Size], rounds: int) -> dict[int, Found]:
        """All sizes, smallest first, each beside the smallest again."""
        found = {value: Found() for value in sizes}
        smallest = min(sizes)
        for number in range(rounds):
            for value, size in sizes.items():
                peer, _, _ = self.measure(sizes[smallest])
                ms, memory, disk = self.measure(size)
                progress(f"round {number + 1}, {what} {value:,}: {ms:.2f} ms a user, {peer:.2f} of {smallest:,}")
                found[value].ms.append(ms)
                found[value].peer_ms.append(peer)
                found[value].memory.append(memory)
                found[value].disk = disk
        return found

    def measure(self, size: Size) -> tuple[float, float, float]:
        """Milliseconds a user, bytes of memory of all processes at most, bytes of a row on disk."""
        inputs, scorer = self._catalogue(size.items)
        users = self.folder / "users" / f"{size.items}-{size.users}-{size.watches}"
        if not users.exists():
            scoring_world.write_users(scorer, users, size.users, (size.watches, size.watches), SEED)
        rows = self.spark.read.parquet(str(users))
        with Peak() as peak:
            began = time.perf_counter()
            write_lists(self.lake, rows, inputs)
            seconds = time.perf_counter() - began
        disk = sum(Path(file.removeprefix("file:")).stat().st_size for file in self.lake.files(RECOMMENDATIONS))
        return 1000 * seconds / size.users, peak.anonymous, disk / size.users

    def _catalogue(self, items: int) -> tuple[Inputs, Scorer]:
        """Made anew only where another was measured last, for a million items are gigabytes."""
        if self._items is None or self._items[0] != items:
            self._items = None
            self._items = (items, *scoring_world.write(self.settings, items, SEED))
        return self._items[1], self._items[2]


def _print(what: str, found: Mapping[int, Found]) -> None:
    smallest = min(found)
    for value, one in found.items():
        emit(f"growth.{what}", one.ms, "ms a user", value, f"{what}: {smallest:,}", one.peer_ms)
    for value, one in found.items():
        emit(f"growth.{what}.memory", one.memory, "bytes", value, f"{what}: {smallest:,}", found[smallest].memory)
        emit(f"growth.{what}.disk", [one.disk], "bytes a user", value)
    emit(f"growth.{what}.power", [power(found)], f"of the {what}", max(found))


def power(found: Mapping[int, Found]) -> float:
    """Slope of the line through all sizes, both axes logarithmic, of milliseconds over those of the peer."""
    sizes = np.log(np.array(list(found), float))
    ratios = [float(np.median(np.divide(one.ms, one.peer_ms))) for one in found.values()]
    return float(np.polyfit(sizes, np.log(ratios), 1)[0]) if len(found) > 1 else math.nan


def _project(settings: Settings, items: int, found: Found) -> None:
    """What everybody's list would take at the size that the product is for, as for the most users measured."""
    cores = float(np.median(found.ms)) / 1000 * GOAL_USERS * CORES / HOUR
    emit("growth.projection.cores", [cores], "cores for one hour, all users", items)
    emit("growth.projection.disk", [found.disk * GOAL_USERS / GB], "GB of recommendations", items)
    emit("growth.projection.dollars", [dollars(GOAL_USERS, settings)], "dollars to write all to DynamoDB", items)


def draw(curves: Mapping[str, Mapping[int, Found]], file: Path) -> None:
    """A panel each: time of a user as a multiple of the smallest size's."""
    figure = Figure(figsize=(3.6 * len(curves), 2.8), layout="constrained")
    for axes, (what, found) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        ratios = [float(np.median(np.divide(one.ms, one.peer_ms))) for one in found.values()]
        axes.plot(list(found), ratios, marker="o", label="measured")
        axes.plot(list(found), [value / min(found) for value in found], ls=":", color="grey", label="as the size")
        axes.set(
            xscale="log",
            yscale="log",
            xlabel=what,
            ylabel="of the smallest's time",
            title=f"power {power(found):.2f}",
        )
        axes.set_ylim(0.5, max(4.0, 2 * max(ratios)))
        axes.minorticks_off()
        axes.set_xticks(list(found), [f"{value:,}" for value in found])
        axes.set_yticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
        axes.legend(fontsize=8, frameon=False)
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    main()
