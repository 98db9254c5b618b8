"""Hours that are worked out again give the same rows, publish nothing, and leave the newest state as it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from pyspark.sql import functions as F

from assets.partitions import AN_HOUR_A_RUN
from assets.resources import REPUBLISH_TAG, Topshelf
from conf.hours import Hour
from conf.loading import load
from dagster_project.build import HOURLY, build
from jobs import manifests
from jobs.lake import Lake
from jobs.readers import ALL_CHANGED
from jobs.registry import Model, Registry
from jobs.tables import (
    ITEM_EMBEDDINGS,
    ITEM_FEATURES,
    ITEMS,
    POPULARITY,
    PUBLICATIONS,
    PUBLISHED,
    RECOMMENDATIONS,
    USER_FEATURES,
)
from models.modelfiles import save_model
from stores.opening import open_store
from tests.cli import scored_home
from tests.conftest import SMALL_SPARK
from tests.jobs.conftest import put_events, put_users

pytestmark = pytest.mark.timeout(1700)
FIRST = Hour.parse("2026-01-10T00")
STATES = (USER_FEATURES, ITEM_FEATURES, ITEM_EMBEDDINGS, PUBLISHED)
BY_HOUR = (POPULARITY, RECOMMENDATIONS)
STEPS = ("user_features", "item_features", "popularity", "serving_artefact", "recommendations", "published")
WATCHED = {"ann": {0: "m6", 2: "m7"}, "bob": {0: "m6", 3: "m6"}, "cat": {0: "m6"}, "dan": {0: "m7", 1: "m6"}}
"""By the hour, from FIRST. No hour makes another film popular, so whoever watches nothing keeps the list they have."""
OVERRIDES = (
    "gate.min_overlap=0", "gate.max_score_drift=100", "gate.short_list=1", "gate.max_concentration=1",
    "gate.min_coverage=0", "data.partitions_start=2026-01-10T00:00:00Z",
)  # fmt: skip


class Given(Topshelf):
    """A home folder, at the end of whatever hour is run."""

    home: str

    def settings(self):
        return load({"TOPSHELF_HOME": self.home}, self.overrides).settings

    def now(self):
        return datetime(2026, 1, 10, 4, tzinfo=UTC)


class World:
    def __init__(self, spark, home, hours, *overrides):
        self.given = Given(home=str(home), overrides=[*SMALL_SPARK, *scored_home.SETTINGS, *OVERRIDES, *overrides])
        self.settings, self.hours = self.given.settings(), hours
        self.lake = Lake(spark, self.settings.lake_root)
        made, given = build(self.settings), {"topshelf": self.given}
        self.made = dg.Definitions(
            made.assets, jobs=made.jobs, asset_checks=made.asset_checks, resources=given, loggers=made.loggers
        )

    def begin(self):
        items, now = scored_home.films(), self.given.now()
        rows = [tuple(row[name] for name in ITEMS.columns) for row in items.to_pylist()]
        self.lake.append(ITEMS, self.lake.spark.createDataFrame(rows, ITEMS.schema))
        put_users(self.lake, *({"user_id": user, "region": "US", "maturity_limit": 2} for user in WATCHED))
        put_events(
            self.lake,
            *(
                {"event_id": f"{user}{hour}", "user_id": user, "item_id": item,
                 "timestamp": FIRST.start + timedelta(hours=hour, minutes=10)}
                for user, hours in WATCHED.items() for hour, item in hours.items()
            ),
        )  # fmt: skip
        digest = save_model(scored_home.model(), items, self.settings.models_path / "model")
        registry = Registry(self.lake, self.settings)
        model = Model("model", "", self.settings.models_path / "model", FIRST.start, {}, digest)
        registry.deploy(registry.add(model, now, "made"), now, "first")

    def run(self, hour, instance, steps=STEPS, **more):
        return self.made.resolve_job_def(HOURLY).execute_in_process(
            run_config={"loggers": {"console": {"config": {}}}},
            asset_selection=[dg.AssetKey(step) for step in steps],
            partition_key=hour.key, instance=instance, **more,
        )  # fmt: skip

    def rows(self, *tables):
        return {table.name: sorted(map(str, self.lake.read(table).collect())) for table in tables}

    def control(self):
        with open_store(self.settings) as store:
            return store.read_control()


def run_on_time(spark, home, count):
    world = World(spark, home, [Hour(FIRST.start + timedelta(hours=n)) for n in range(count)])
    world.begin()
    instance = dg.DagsterInstance.ephemeral()
    for hour in world.hours:
        world.run(hour, instance)
    return world, instance


def check(world, instance, again):
    scored = [manifests.scored(world.settings, hour) for hour in world.hours]
    assert (scored[1].changed, scored[1].scored) == (1, 1), "of whom nothing has changed must have been left out"
    on_time, states, control = world.rows(*BY_HOUR), world.rows(*STATES, PUBLICATIONS), world.control()
    for table in BY_HOUR:
        world.lake.delete(table, F.col("hour").isin([hour.start.hour for hour in again]))
    for hour in again:
        world.run(hour, instance)
        assert world.rows(*STATES, PUBLICATIONS) == states, hour
        assert world.control() == control
    assert world.rows(*BY_HOUR) == on_time
    return scored


@pytest.fixture(scope="module")
def two_hours(spark, tmp_path_factory):
    return run_on_time(spark, tmp_path_factory.mktemp("two-hours") / "home", 2)


def test_an_hour_that_is_run_again_gives_the_same_rows_and_publishes_nothing(two_hours):
    world, instance = two_hours
    check(world, instance, world.hours[:1])


def test_a_gate_that_fails_stops_what_depends_on_it_and_nothing_else(spark, two_hours):
    world, instance = two_hours
    strict = World(spark, world.given.home, world.hours, "gate.short_list=150", "gate.least_lists=1")
    live = world.control().current
    world.lake.delete(PUBLISHED, "user_id = 'cat'")  # so there is a list to publish
    steps = ("recommendations", "published", "served", "outcomes", "rollouts")
    done = strict.run(world.hours[-1], instance, steps, tags={REPUBLISH_TAG: "true"}, raise_on_error=False)
    ended = {event.step_key: event.event_type_value for event in done.all_events if event.step_key in steps}
    assert ended == {
        "published": "STEP_FAILURE",
        **dict.fromkeys(("recommendations", "served", "outcomes"), "STEP_SUCCESS"),
    }
    found = [event.asset_check_evaluation_data for event in done.all_events if event.step_key == "published"
             and event.event_type_value == "ASSET_CHECK_EVALUATION"]  # fmt: skip
    assert [check.check_name for check in found if not check.passed] == ["short_lists"]
    assert world.control().current == live


@pytest.mark.soak
def test_four_hours_are_run_again_also_where_what_readers_had_is_gone(spark, tmp_path):
    world, instance = run_on_time(spark, tmp_path / "home", 4)
    scored = check(world, instance, world.hours)
    assert (scored[2].changed, scored[2].scored) == (1, 1), "a list that was left out before has changed"
    earlier = world.hours[1]
    assert "generation 1" in manifests.scored(world.settings, earlier).backfill
    # Without the manifest the ledger tells what readers had; where their lists are gone, too, that is said.
    before = world.rows(RECOMMENDATIONS)
    (world.settings.manifests_path / f"{earlier.start:%Y%m%dT%H}.scored.json").unlink()
    world.run(earlier, instance)
    assert "as the ledger has it" in manifests.scored(world.settings, earlier).backfill
    assert world.rows(RECOMMENDATIONS) == before
    world.lake.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    world.lake.compact(PUBLISHED)
    world.lake.remove_replaced(PUBLISHED, 0)
    world.run(earlier, instance)
    found = manifests.scored(world.settings, earlier)
    assert (found.backfill, found.changed) == (ALL_CHANGED, len(WATCHED))


def test_a_backfill_asks_for_a_run_an_hour_the_oldest_first(settings):
    live = settings.model_copy(update={"data": settings.data.model_copy(update={"partitions_start": FIRST.start})})
    nodes = build(live).resolve_asset_graph()
    for step in (*STEPS, "events", "served", "outcomes", "rollouts"):
        assert nodes.get(dg.AssetKey(step)).backfill_policy == AN_HOUR_A_RUN, step
