"""What an hour costs in which little changes, beside one in which every list is made anew.

\b
    python -m bench.hour                                          # 20,000 users, 10,000 items: ten minutes
    python -m bench.hour --users 1000000 --items 100000 --hours 24

In each hour a share of the users watch something and some items are new. The steps of the pipeline from features to
publication are timed by themselves, in one process whose Spark is warm: first an hour for everybody, which is not
counted, then the quiet hours, then an hour for everybody again. Prints JSON lines, seconds of a quiet hour beside
those of the whole one, and bytes on disk that a quiet hour adds to each table beside those of its first version.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click

from bench.hour_world import FIRST, HourWorld
from bench.lines import emit, progress
from bench.worlds import workshop
from conf.hours import Hour
from conf.loading import load
from conf.settings import Settings
from jobs import artefact, item_features, manifests, popularity, publish, score, user_features
from jobs.lake import Lake
from jobs.load import Progress
from jobs.registry import Registry
from jobs.tables import PLANS, POPULARITY, PUBLISHED, RECOMMENDATIONS, USER_FEATURES
from stores.base import Store
from stores.opening import open_store

SEED = 17
OVERRIDES = ("gate.min_overlap=0", "gate.max_score_drift=100", "gate.max_concentration=1", "tracking.enabled=false")
GROWING = (USER_FEATURES, RECOMMENDATIONS, PUBLISHED, PLANS, POPULARITY)


@click.command(help=__doc__)
@click.option("--users", default=20_000, show_default=True, type=click.IntRange(min=100), help="Users.")
@click.option("--items", default=10_000, show_default=True, type=click.IntRange(min=1_000), help="Items.")
@click.option("--hours", default=3, show_default=True, type=click.IntRange(min=1), help="Quiet hours.")
@click.option("--active", default=2.0, show_default=True, help="Percent of the users who are active in each.")
@click.option("--new", default=50, show_default=True, help="Items that are new in each.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A setting of the pipeline. Repeatable.")
def main(users: int, items: int, hours: int, active: float, new: int, overrides: tuple[str, ...]) -> None:
    with workshop() as (spark, folder):
        settings = load({"TOPSHELF_HOME": str(folder / "home")}, (*OVERRIDES, *overrides)).settings
        progress(f"making a world of {users:,} users and {items:,} items")
        lake = Lake(spark, settings.lake_root)
        world = HourWorld(lake, settings, users, items, SEED)
        with open_store(settings) as store:
            trial = Trial(lake, settings, store)
            first = trial.run(FIRST)
            progress(f"everybody, and warming up: {sum(first.values()):.0f} s")
            sizes, quiet = trial.sizes(), []
            for number in range(1, hours + 1):
                hour = Hour(FIRST.start + timedelta(hours=number))
                world.happen(hour, active, new)
                quiet.append(trial.run(hour))
                progress(f"{hour}: {sum(quiet[-1].values()):.1f} s, {trial.said}")
            grown = trial.sizes()
            hour = Hour(FIRST.start + timedelta(hours=hours + 1))
            world.happen(hour, active, new)
            whole = trial.run(hour, everybody=True)
            progress(f"everybody: {sum(whole.values()):.0f} s, {trial.said}")
    for step in whole:
        emit(f"hour.{step}", [each[step] for each in quiet], "s", users, "all users", [whole[step]] * hours)
    totals = [sum(each.values()) for each in quiet]
    emit("hour", totals, "s", users, "all users", [sum(whole.values())] * hours)
    for table, size in sizes.items():
        emit(f"hour.disk.{table}", [(grown[table] - size) / hours], "bytes an hour", users, "all users", [float(size)])


class Trial:
    """Runs hours, and times their steps."""

    def __init__(self, lake: Lake, settings: Settings, store: Store) -> None:
        self.lake, self.settings, self.store = lake, settings, store
        self.said = ""

    def run(self, hour: Hour, everybody: bool = False) -> dict[str, float]:
        """Seconds of each step. everybody: features from all events, and all lists, whatever there is already."""
        lake, settings, store = self.lake, self.settings, self.store
        if everybody:
            for file in settings.manifests_path.glob("*.worked.json"):
                file.unlink()
            settings = load({"TOPSHELF_HOME": str(settings.home)}, (*OVERRIDES, "retrieval.keep_days=0")).settings
        model = Registry(lake, settings).need_deployed()
        steps: dict[str, Callable[[], object]] = {
            "item_features": lambda: item_features.run(lake, hour, settings),
            "user_features": lambda: user_features.run(lake, hour, settings),
            "popularity": lambda: popularity.run(lake, hour, settings),
            "serving_artefact": lambda: artefact.run(lake, hour, settings, model),
            "recommendations": lambda: score.run(
                lake, hour, settings, model, manifests.built(settings, hour), publish.control_of(store), _now()
            ),
            "published": lambda: publish.run(
                lake, hour, settings, store, manifests.scored(settings, hour), _now, self
            ),
        }  # fmt: skip
        spent = {}
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            spent[name] = time.perf_counter() - began
        made = manifests.scored(settings, hour)
        self.said = f"{made.scored:,} scored ({made.whom}), {made.changed:,} changed"
        return spent

    def sizes(self) -> dict[str, int]:
        return {table.name: self.lake.disk_bytes(table) for table in GROWING}

    def say(self, text: str) -> None:
        """A publication's remarks are not what is measured."""

    def progress(self, progress: Progress) -> None:
        """Nor is how far it has come."""


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
