"""One Spark session for the whole suite; a fresh home folder for each test that asks for one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from pyspark.sql import SparkSession
from xdist.scheduler import LoadFileScheduling

from conf.loading import load
from conf.settings import Settings
from jobs.lake import Lake
from jobs.spark import spark_session

pytest_plugins = ["tests.services.servers"]

# How fast a machine is, and what else it does, is no property of the code.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

QUICK = {
    # Tests run many small queries once: compiling and replanning them costs more than running them as they are.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.databricks.delta.stats.collect": "false",
    # It asks the statistics, in a job of its own, before it counts.
    "spark.databricks.delta.optimizeMetadataQuery.enabled": "false",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.driver.defaultJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC "
    # A tenth of what a new JVM does before its first answer.
    "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote",
}
SMALL_SPARK = [
    "spark.master=local[2]",
    "spark.shuffle_partitions=2",
    "spark.driver_memory=2g",
    "tracking.enabled=false",
    f"spark.conf={json.dumps(QUICK)}",
]


E2E = "tests/e2e/"
WHOLE_RUN_SECONDS = 900
SLOW_FIRST = (E2E, "tests/dagster_project", "tests/jobs", "tests/faults", "tests/cli", "tests/bench")
"""Folders by what their tests take: the last of several processes is not to be left with minutes of work."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first; of e2e/, whose first test waits for a whole run, what waits longest last."""

    def place(item: pytest.Item) -> tuple[int, bool]:
        folder = next((n for n, name in enumerate(SLOW_FIRST) if item.nodeid.startswith(name)), len(SLOW_FIRST))
        return folder, "challenged" in getattr(item, "fixturenames", ())

    items.sort(key=place)
    for item in items:
        if item.nodeid.startswith(E2E):
            item.add_marker(pytest.mark.timeout(WHOLE_RUN_SECONDS))


class ByHome(LoadFileScheduling):
    """A file of tests goes to one process, for it shares what it sets up; so does all of e2e/, which has one home."""

    def _split_scope(self, nodeid: str) -> str:
        return E2E if nodeid.startswith(E2E) else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByHome:
    return ByHome(config, log)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a fresh home folder."""
    return load({"TOPSHELF_HOME": str(tmp_path / "home")}, SMALL_SPARK).settings


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    home = tmp_path_factory.mktemp("spark")
    # With the jars for object storage, too, which a session cannot be given later.
    session = spark_session(load({"TOPSHELF_HOME": str(home)}, [*SMALL_SPARK, "lake.root=s3a://none/lake"]).settings)
    yield session
    session.stop()


@pytest.fixture
def lake(spark: SparkSession, settings: Settings) -> Lake:
    """An empty lake."""
    return Lake(spark, settings.lake_root)
