"""What Dagster is given: lineage, partitions, pools, schedules, and that loading it opens nothing."""

from __future__ import annotations

import ast
import inspect
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

import assets
from conf.errors import ConfigError
from conf.hours import Hour
from conf.loading import load
from conf.settings import Settings
from dagster_project.build import DAILY, HOURLY, build
from dagster_project.freshness import CHECK
from dagster_project.instance import prepare_instance
from dagster_project.launch import newest_hour, run_hour
from jobs import promotion
from jobs.gate import CHECKS
from jobs.health import DRIFT_CHECK, EVENT_CHECKS
from jobs.publish import ACCOUNTING

HOURLY_ASSETS = {
    "events", "user_features", "item_features", "popularity", "serving_artefact", "recommendations", "published",
    "served", "outcomes", "rollouts",
}  # fmt: skip
DAILY_ASSETS = {"training_examples", "models"}


def settings_of(home: Path, *overrides: str) -> Settings:
    return load({"TOPSHELF_HOME": str(home)}, overrides).settings


def graph(definitions: dg.Definitions) -> dict[str, set[str]]:
    nodes = definitions.resolve_asset_graph()
    return {
        key.to_user_string(): {parent.to_user_string() for parent in nodes.get(key).parent_keys}
        for key in nodes.get_all_asset_keys()
    }


def test_loading_definitions_opens_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    definitions = build(settings_of(home))
    dg.Definitions.validate_loadable(definitions)
    definitions.get_repository_def().load_all_definitions()  # as a code server does: names are looked at
    assert not home.exists()


def test_the_lineage_leads_from_what_was_imported_to_what_is_live(tmp_path: Path) -> None:
    parents = graph(build(settings_of(tmp_path)))
    assert set(parents) == HOURLY_ASSETS | DAILY_ASSETS | {"items", "users", "upkeep"}
    assert parents["user_features"] == {"events", "items", "users"}
    assert parents["models"] == {"training_examples", "items"}
    assert parents["recommendations"] == {"user_features", "serving_artefact", "models"}
    assert parents["published"] == {"recommendations"}


def test_every_asset_is_documented_and_in_a_pool_of_one(tmp_path: Path) -> None:
    definitions = build(settings_of(tmp_path))
    nodes = definitions.resolve_asset_graph()
    for key in nodes.get_all_asset_keys():
        node = nodes.get(key)
        assert node.description, key
        assert "dagster/column_schema" in node.metadata or key.to_user_string() == "upkeep", key
    pools = {
        spec.key.to_user_string(): made.op.pool
        for made in definitions.assets or ()
        if isinstance(made, dg.AssetsDefinition)
        for spec in made.specs
    }
    assert {pools.pop("published"), pools.pop("rollouts")} == {"publish"}
    assert set(pools.values()) == {"spark"}
    prepare_instance(settings_of(tmp_path))
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1


def test_the_gate_is_shown_as_checks_that_block_what_depends_on_the_lists(tmp_path: Path) -> None:
    nodes = build(settings_of(tmp_path)).resolve_asset_graph()
    checks = {key.name: nodes.get(key) for key in nodes.asset_check_keys if key.name != CHECK}
    blocking = {name: check.key.asset_key.to_user_string() for name, check in checks.items() if check.blocking}
    assert blocking == dict.fromkeys(CHECKS, "published")
    assert set(checks) - set(CHECKS) == {*EVENT_CHECKS, DRIFT_CHECK, *ACCOUNTING, *promotion.CHECK}


@pytest.mark.parametrize(
    ("overrides", "hours", "schedules"),
    [
        (["data.partitions_start=2026-11-20T07:00:00Z"], None,
         {"every_hour", "every_day", "every_night"}),
        (
            ["data.profile=historical", "data.partitions_start=2018-09-24T14:00:00Z",
             "data.partitions_end=2018-09-24T14:00:00Z"],
            ["2018-09-24-14:00"], {"every_night"},
        ),
    ],
)  # fmt: skip
def test_partitions_and_schedules_follow_the_data(
    tmp_path: Path, overrides: list[str], hours: list[str] | None, schedules: set[str]
) -> None:
    definitions = build(settings_of(tmp_path, *overrides))
    hourly = definitions.resolve_job_def(HOURLY).partitions_def
    assert hourly is not None
    if hours is None:
        assert hourly.get_first_partition_key() == "2026-11-20-07:00"
    else:
        assert list(hourly.get_partition_keys()) == hours
    assert {schedule.name for schedule in definitions.get_repository_def().schedule_defs} == schedules
    assert definitions.resolve_job_def(DAILY).partitions_def is not None


def test_asset_bodies_are_thin() -> None:
    """Resources in, one job run, metadata out."""
    folder = Path(inspect.getfile(assets)).parent
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.args.args and node.args.args[0].arg == "context":
                body = node.body[-1].end_lineno - node.body[0].lineno + 1
                assert body <= 22, f"{file.name}: {node.name} has {body} lines"


def test_the_newest_hour_is_the_last_that_is_over(tmp_path: Path) -> None:
    now = datetime(2026, 11, 23, 6, 5, tzinfo=UTC)
    with pytest.raises(ConfigError, match=r"no data yet.*topshelf import"):
        newest_hour(settings_of(tmp_path), now)
    live = settings_of(tmp_path, "data.partitions_start=2026-11-20T07:00:00Z")
    assert newest_hour(live, now) == Hour.parse("2026-11-23T05")
    for outside in ("2026-11-19T00", "2999-01-01T00"):
        with pytest.raises(ConfigError, match=r"lies outside of the data, whose whole hours are 2026-11-20T07:00Z to "):
            run_hour(live, Hour.parse(outside), False, False, (), print)


def test_a_day_is_trained_on_when_it_is_over(tmp_path: Path) -> None:
    code = build(settings_of(tmp_path, "data.partitions_start=2026-11-20T07:00:00Z")).get_repository_def()
    tick = dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 11, 23, 0, 20, tzinfo=UTC), repository_def=code
    )
    ticked = code.get_schedule_def("every_day").evaluate_tick(tick)
    assert [request.partition_key for request in ticked.run_requests or ()] == ["2026-11-22"]
