"""An hour that is missing is told, whatever was worked out since."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from conf.loading import load
from dagster_project.build import HOURLY, build
from dagster_project.freshness import CHECK, sensor
from stores.control import Control, Generation
from stores.opening import open_store

LATE = datetime(2026, 1, 10, 8, 46, tzinfo=UTC)
"""The hour from 7 to 8 ended 46 minutes ago."""
DUE, EARLIER = "2026-01-10-07:00", "2026-01-03-05:00"


@pytest.fixture
def settings(tmp_path):
    return load({"TOPSHELF_HOME": str(tmp_path)}, ["data.partitions_start=2026-01-01T00:00:00Z"]).settings


def test_a_backfill_does_not_make_a_pipeline_that_stands_look_fresh(settings):
    with open_store(settings) as store:
        first = Control.first("a-store")
        made = Generation(1, "a", "v1", "2026-01-10T06:00Z", "2026-01-10T07:10:00Z")
        store.swap_control(None, first)
        store.swap_control(first, first.begun(1))
        store.swap_control(first.begun(1), first.begun(1).switched(made))
    looked, cursor = sensor(settings, ["events", "published"], lambda: LATE), None
    with dg.DagsterInstance.ephemeral() as instance:

        def look():
            nonlocal cursor
            said = looked.evaluate_tick(dg.build_sensor_context(instance, cursor=cursor))
            cursor = said.cursor
            return {event.asset_key.to_user_string(): event.passed for event in said.asset_events}

        def made_of(asset, hour):
            instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=hour))

        for asset in ("events", "published"):
            made_of(asset, EARLIER)
        assert look() == {"events": False, "published": False}
        assert look() == {}, "told once"
        made_of("events", DUE)
        made_of("published", DUE)
        assert look() == {"events": True, "published": False}, "the hour was run, and readers do not have it"


def test_live_data_has_the_check_on_every_hourly_asset_and_the_hourly_job_does_not_run_it(settings):
    definitions = build(settings)
    keys = {key for key in definitions.resolve_asset_graph().asset_check_keys if key.name == CHECK}
    assert len(keys) == 10
    steps = {node.name for node in definitions.resolve_job_def(HOURLY).nodes}
    assert "published" in steps
    assert not [step for step in steps if CHECK in step]
