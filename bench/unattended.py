"""Two days of a small world on their own, under a real Dagster daemon, with things going wrong.

\b
    python -m bench.unattended                       # 300 users, 200 items, 48 hours: about an hour
    python -m bench.unattended --hours 14 --outage 2 --late 6 --refused 8 --bad 10 --worthless 12

Simulated users visit the real service hour by hour. A sensor asks the daemon for each hour once the one before is
published, and for a training at midnight. On the way: the daemon and its run are killed for three hours; events arrive
five hours late; a generation fails its gate; an operator marks a published one as bad; the second night's training
makes a model that is worth nothing. Prints a line for each hour to standard error, at the end what came of each fault,
and JSON lines; the exit code is 1 where something is not as it must be.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from pyspark.sql import functions as F

from bench.daemon import Daemon, Told, webhook
from bench.lines import emit, progress
from bench.timeline import SPARK, Timeline
from bench.unattended_location import PLAN
from conf.hours import Hour
from conf.rules import load_rules
from jobs.rollback import mark_bad
from jobs.tables import EVENTS, MODELS, PUBLICATIONS, ROLLOUTS
from sim.client import HttpApi
from sim.visitors import Visitors
from sim.world import World, imagine
from stores.opening import open_store

END = datetime(2025, 6, 1, 12, tzinfo=UTC)
"""Of the record. Midnights, and with them trainings, come after 12 and 36 hours."""
RECORD_DAYS = 30
SEED = 17
WAIT_SECONDS = 1800.0
"""For an hour to be published, on a slow machine."""
OUTAGE_HOURS = 3
LATE_HOURS = 5
ROLLOUT = (
    "rollout.steps=[50, 100]", "rollout.min_users=20", "rollout.margin=0.5", "rollout.step_hours=4",
    "promotion.tolerance=0.1",
)  # fmt: skip
"""So few users tell little apart: a rollout of theirs is to come to an end within the day."""
WORTHLESS = (
    "tower.epochs=1", "tower.min_steps=1", "tower.learning_rate=1e-7", "item_item.keep=1", "ranker.epochs=1",
    "seed=5",
)  # fmt: skip
"""A training that learns nothing."""


@dataclass
class Plan:
    """Which hour, from 0, has which fault; -1: none."""

    hours: int
    outage: int
    late: int
    refused: int
    bad: int
    worthless: int
    """A midnight: 12, 36, … hours after END."""


@click.command(help=__doc__)
@click.option("--users", default=300, show_default=True, type=click.IntRange(min=50), help="Users of the world.")
@click.option("--items", default=200, show_default=True, type=click.IntRange(min=50), help="Items of the world.")
@click.option("--hours", default=48, show_default=True, type=click.IntRange(min=1), help="Hours that are played.")
@click.option("--outage", default=6, show_default=True, help="Hour in which the daemon is killed; -1: never.")
@click.option("--late", default=20, show_default=True, help="Hour in which events arrive late.")
@click.option("--refused", default=26, show_default=True, help="Hour whose lists fail the gate at first.")
@click.option("--bad", default=30, show_default=True, help="Hour after which its generation is marked as bad.")
@click.option("--worthless", default=36, show_default=True, help="Hour, a midnight, whose training learns nothing.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder to work in, which stays.")
def main(
    users: int,
    items: int,
    hours: int,
    outage: int,
    late: int,
    refused: int,
    bad: int,
    worthless: int,
    keep: Path | None,
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="topshelf-unattended-")) if keep is None else keep
    folder.mkdir(parents=True, exist_ok=True)
    world = imagine(users, items, RECORD_DAYS, SEED, end=END, ahead=1 + hours // 24)
    try:
        passed = Trial(folder, world, Plan(hours, outage, late, refused, bad, worthless)).run()
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if passed else 1)


class Trial:
    """The two days, in `folder`."""

    def __init__(self, folder: Path, world: World, plan: Plan) -> None:
        self.folder, self.world, self.plan = folder, world, plan
        self.told = Told()
        self.late_events: list[str] = []
        self.marked: int | None = None

    def run(self) -> bool:
        """Whether everything came out as it must."""
        with webhook(self.told) as url:
            settings = [*ROLLOUT, f"alerts.webhook={url}", "alerts.late_minutes=45"]
            self.timeline = Timeline(self.folder / "home", load_rules(), tuple(settings))
            self._plan([*SPARK, *settings])
            progress(f"importing a record of {len(self.world.log.time):,} events")
            self.world.write(self.folder / "record")
            self.timeline.take_in(self.folder / "record", END)
            progress("the first training and the first lists")
            self.timeline.run(END, train=True)
            self.daemon = Daemon(self.timeline, self.folder / "daemon.log")
            self.visitors = Visitors(self.world, 1 + self.plan.hours // 24, self.timeline.set_ms)
            try:
                self.daemon.start()
                with self.timeline.served() as api:
                    for number in range(self.plan.hours):
                        self._hour(api, number)
                self.timeline.drain(END + timedelta(hours=self.plan.hours, minutes=10))
                return self._report()
            finally:
                self.daemon.kill()
                self.timeline.lake().spark.stop()

    def _plan(self, settings: list[str]) -> None:
        day = Hour(END + timedelta(hours=self.plan.worthless - 1)).day_key
        refused = Hour(END + timedelta(hours=self.plan.refused)).key
        faults = {f"{day} 0": list(WORTHLESS), f"{refused} 0": ["gate.min_overlap=1.0", "gate.least_lists=1"]}
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        (home / PLAN).write_text(json.dumps({"settings": settings, "faults": faults}))

    def _hour(self, api: HttpApi, number: int) -> None:
        plan, hour = self.plan, Hour(END + timedelta(hours=number))
        began = time.monotonic()
        api.renew()
        self.visitors.play(api, int(hour.end.timestamp() * 1000))
        if number == plan.late:
            self._send_late(api, hour)
        self.timeline.drain(hour.end)
        self.timeline.clock.set((hour.end + timedelta(minutes=5)).timestamp())
        if plan.outage <= number < plan.outage + OUTAGE_HOURS and plan.outage >= 0:
            self._outage(number - plan.outage)
            progress(f"{hour}: the daemon is down, users go on")
            return
        self._wait(hour)
        if number == plan.bad:
            with open_store(self.timeline.settings) as store:
                change = mark_bad(self.timeline.settings, store, self._live()[0])
            self.marked = change.before.current
            progress(f"generation {self.marked} is marked as bad: readers have {change.after.current}")
        generation, _ = self._live()
        progress(
            f"{hour}: generation {generation} after {time.monotonic() - began:.0f} s; {self.visitors.told:,} events, "
            f"{len(self.told.alerts)} alerts"
        )

    def _outage(self, since: int) -> None:
        if since == 0:
            self.daemon.wait_for_a_run()
            self.daemon.kill()
        if since == OUTAGE_HOURS - 1:
            self.daemon.start()

    def _send_late(self, api: HttpApi, hour: Hour) -> None:
        """What 20 users watched LATE_HOURS ago and their devices could not send until now."""
        users = self.world.audience.table["user_id"].to_pylist()[:20]
        items = self.world.catalogue.table["item_id"].to_pylist()
        self.timeline.clock.set((hour.end - timedelta(minutes=1)).timestamp())
        then = (hour.end - timedelta(hours=LATE_HOURS, minutes=10)).isoformat()
        for place, user in enumerate(users):
            event = {
                "event_id": f"late-{place}", "event_type": "watch", "item_id": items[place], "timestamp": then,
                "watch_duration_sec": 1800, "completed": True, "context": {"device": "tv", "page": "home"},
            }  # fmt: skip
            api.tell(user, [event])
            self.late_events.append(str(event["event_id"]))

    def _live(self) -> tuple[int, Hour]:
        with open_store(self.timeline.settings) as store:
            control = store.read_control()
        live = None if control is None else control.generation()
        assert live is not None  # the first lists are published
        return live.number, Hour.parse(live.hour)

    def _wait(self, hour: Hour) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            if self._live()[1] >= hour and not self.daemon.busy():
                return
            time.sleep(1)
        raise SystemExit(f"{hour} was not published within {WAIT_SECONDS:.0f} s: see {self.folder / 'daemon.log'}")

    def _report(self) -> bool:
        lake, plan = self.timeline.lake(), self.plan
        ledger = lake.read(PUBLICATIONS)
        hours = {row["hour"] for row in ledger.where("state = 'current'").select("hour").distinct().collect()}
        live = sum(
            Hour(END + timedelta(hours=number)).start.replace(tzinfo=None) in hours for number in range(plan.hours)
        )
        arrived = lake.read(EVENTS).where(F.col("ingested_at") >= F.lit(END)).count()
        late = lake.read(EVENTS).where(F.col("event_id").isin(self.late_events))
        late_hours = [row["hour"] for row in late.select("hour").distinct().collect()]
        checks: dict[str, tuple[object, object]] = {
            "hours published": (live, plan.hours),
            "events in the table": (arrived, self.visitors.told + len(self.late_events)),
        }
        if 0 <= plan.late < plan.hours:
            when = Hour(END + timedelta(hours=plan.late))
            checks |= {"late events": (late.count(), 20), "hour of their arrival": (late_hours, [when.start.hour])}
        if 0 <= plan.outage < plan.hours:
            checks["runs that the outage killed, found and failed"] = (self.daemon.failed() >= 1, True)
        if 0 <= plan.refused < plan.hours:
            checks["alerts of a gate"] = (len(self.told.of("gate_failed")), 1)
        if self.marked is not None:
            bad = ledger.where(F.col("generation") == self.marked).orderBy(F.desc("step")).first()
            checks["the marked generation"] = (None if bad is None else bad["state"], "bad")
        models = {row["version"]: row["status"] for row in lake.read(MODELS).collect()}
        if plan.hours > plan.worthless:
            checks["the worthless model"] = (models.get(f"v{2 + (plan.worthless - 12) // 24}"), "retired")
        for name, (found, wanted) in checks.items():
            progress(f"{'as it must' if found == wanted else 'WRONG'}: {name}: {found}, wanted {wanted}")
        for row in lake.read(ROLLOUTS).orderBy("noted_at").collect():
            where = f"{row['version']} {row['state']} {row['traffic_percent']}%"
            progress(f"{row['noted_at']:%m-%d %H:%M} {where}: {row['note']}")
        for alert in self.told.alerts:
            progress(f"alert {alert['kind']}: {alert['text'][:200]}")
        emit("unattended.hours", [live], "hours published", plan.hours)
        emit("unattended.events", [arrived], "events in the table", self.visitors.told + len(self.late_events))
        return all(found == wanted for found, wanted in checks.values())


if __name__ == "__main__":
    main()
