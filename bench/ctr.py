"""What Topshelf is worth: simulated users before the real service, beside the popular lists.

\b
    python -m bench.ctr                              # 3,000 users, 1,200 items, 4 days
    python -m bench.ctr --users 300 --items 200 --days 1
    python -m bench.ctr --offpolicy                  # whether off-policy intervals hold what they say

Users with hidden tastes (sim/) read their home pages over HTTP and click, watch, list, rate and refuse; each day the
pipeline runs on what they did. Twice, from the same first day on: once with a holdout who get the popular lists, once
with the popular lists for everybody, which is what would have happened without Topshelf: the same users, visits and
random numbers. docs/lift.md has the method. Prints JSON lines: value and peer_value are a rate of either side, ratio
is between them, spread its 95 % interval over users, n the users. Progress goes to standard error.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from bench import offpolicy
from bench.lift import Lift, Rate, Totals, between, paired, totals
from bench.lines import emit, progress
from bench.timeline import Timeline
from conf.hours import Hour
from conf.rules import Rules, load_rules
from jobs.tables import EVENTS
from serving.request import POPULAR, assigned
from sim.visitors import Outcome, Visitors
from sim.world import World, imagine

END = datetime(2025, 6, 2, tzinfo=UTC)
"""Of the record; a Monday. Days that are over, whenever this runs, are days that the schedules' jobs can run."""
RECORD_DAYS = 30
SEED = 17
HOLDOUT = "popularity holdout"
WITHOUT = "the same users without Topshelf"


RATES: tuple[tuple[str, str, Callable[[Totals], Rate]], ...] = (
    ("ctr", "clicks per impression", lambda group: (group.clicks, group.impressions)),
    ("ctr.first", "first clicks per impression", lambda group: (group.first_clicks, group.impressions)),
    ("watch_rate", "watches per impression", lambda group: (group.watches, group.impressions)),
    ("watch_time", "minutes a visit", lambda group: (group.minutes, group.visits)),
)


@dataclass(frozen=True)
class Plan:
    users: int
    items: int
    days: int
    runs: int
    holdout: float


@click.command(help=__doc__)
@click.option("--users", default=3_000, show_default=True, type=click.IntRange(min=1), help="Users of the world.")
@click.option("--items", default=1_200, show_default=True, type=click.IntRange(min=1), help="Items of the world.")
@click.option("--days", default=4, show_default=True, type=click.IntRange(min=1), help="Days that are played.")
@click.option("--runs", default=2, show_default=True, type=click.IntRange(1, 24), help="Hours that are run each day.")
@click.option("--holdout", default=0.2, show_default=True, type=click.FloatRange(0, 1), help="Share of the holdout.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A setting of the pipeline. Repeatable.")
@click.option("--offpolicy", "estimators", is_flag=True, help="Measure the off-policy estimators, and nothing else.")
def main(
    users: int, items: int, days: int, runs: int, holdout: float, overrides: tuple[str, ...], estimators: bool
) -> None:
    if estimators:
        offpolicy.measure()
        return
    measure(Plan(users, items, days, runs, holdout), overrides)


def measure(plan: Plan, overrides: tuple[str, ...]) -> None:
    """Play the days twice and print what came of them."""
    world = imagine(plan.users, plan.items, RECORD_DAYS, SEED, end=END, ahead=plan.days)
    with tempfile.TemporaryDirectory(prefix="topshelf-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        world.write(folder / "record")
        ours = Timeline(folder / "ours", with_baseline(plan.holdout), overrides)
        stack.callback(ours.lake().spark.stop)  # before the folder that it works in goes
        progress(f"importing a record of {len(world.log.time):,} events")
        ours.take_in(folder / "record", END)
        progress("training, and the first lists")
        ours.run(END, train=True)
        shutil.copytree(folder / "ours", folder / "theirs")
        theirs = Timeline(folder / "theirs", with_baseline(1.0), overrides)
        mine, without = play(plan, world, ours, train=True), play(plan, world, theirs, train=False)
    held = np.array(
        [assigned(user, ours.rules.baseline) == POPULAR for user in world.audience.table["user_id"].to_pylist()]
    )
    report(plan, held, mine, without)


def with_baseline(share: float) -> Rules:
    """The rules that Topshelf comes with, but for the share of users who get the popular lists."""
    rules = load_rules()
    return rules.model_copy(update={"baseline": rules.baseline.model_copy(update={"share": share})})


def play(plan: Plan, world: World, timeline: Timeline, train: bool) -> Outcome:
    """The days, with `plan.runs` hours run in each; at the end of each day its training, too, where wanted.

    Nothing is run at the very end, for nobody would see it.

    Raises:
        SystemExit: an event that the service confirmed is not in the table, or one is that nobody sent.
    """
    visitors = Visitors(world, plan.days, timeline.set_ms)
    before = timeline.lake().read(EVENTS).count()
    pause = timedelta(days=1) / plan.runs
    count = plan.days * plan.runs
    for number in range(1, count + 1):
        until = Hour.of(END + number * pause).start
        with timeline.served() as api:
            visitors.play(api, int(until.timestamp() * 1000))
        so_far, name = visitors.outcome(), timeline.settings.home.name
        clicks, seen = int(so_far.clicks.sum()), int(so_far.impressions.sum())
        progress(f"{name}, until {until:%Y-%m-%d %H:%M}: {clicks:,} clicks on {seen:,} impressions")
        if number < count:
            timeline.run(until, train and number % plan.runs == 0)
    timeline.drain(until)
    arrived = timeline.lake().read(EVENTS).count() - before
    if arrived != visitors.told:
        raise SystemExit(f"{visitors.told} events were confirmed and {arrived} arrived in the table")
    return visitors.outcome()


def report(plan: Plan, held: NDArray[np.bool_], mine: Outcome, without: Outcome) -> None:
    """held: (users,) whether each is of the holdout."""
    day_ms, start = 86_400_000, int(END.timestamp() * 1000)
    for day in range(plan.days):
        bounds = (start + day * day_ms, start + (day + 1) * day_ms)
        here, there = totals(mine, plan.users, *bounds), totals(without, plan.users, *bounds)
        rates = [_rate(group) for group in (here.of(~held), here.of(held), there.of(~held))]
        progress(f"day {day + 1}: CTR {rates[0]:.4f}, holdout {rates[1]:.4f}, without Topshelf {rates[2]:.4f}")
    sources = Counter(source for source, user in zip(mine.source, mine.user, strict=True) if source and not held[user])
    progress(f"pages of those who see Topshelf: {dict(sources.most_common())}")
    here, there = totals(mine, plan.users), totals(without, plan.users)
    ours, holdout, theirs = here.of(~held), here.of(held), there.of(~held)
    for case, unit, rate in RATES:
        _print(case, unit, len(ours.clicks), between(rate(ours), rate(holdout)), HOLDOUT)
        _print(case, unit, len(ours.clicks), paired(rate(ours), rate(theirs)), WITHOUT)
    case, unit, rate = RATES[0]
    _print(f"{case}.holdout", unit, len(holdout.clicks), paired(rate(holdout), rate(there.of(held))), WITHOUT)


def _rate(group: Totals) -> float:
    return float(group.clicks.sum() / max(group.impressions.sum(), 1))


def _print(case: str, unit: str, users: int, lift: Lift, peer: str) -> None:
    emit(case, [lift.value], unit, users, peer, [lift.peer], interval=(lift.low, lift.high))


if __name__ == "__main__":
    main()
