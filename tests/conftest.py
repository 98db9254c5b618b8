"""One Spark session for the whole suite; a fresh home folder for each test that asks for one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from pyspark.sql import SparkSession

from conf.loading import load
from conf.settings import Settings
from jobs.lake import Lake
from jobs.spark import spark_session
from tests.e2e.commands import challenge, whole_way

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits longest comes last, so that others run meanwhile."""
    items.sort(key=lambda item: "challenged" in getattr(item, "fixturenames", ()))


@dataclass(frozen=True)
class Begun:
    """Long work of e2e/: its homes, and what comes of it once it has ended (tests/e2e/commands.py)."""

    home: Path
    first_run: Future[str]
    challenged_home: Path
    challenged: Future[str] | None


@pytest.fixture(scope="session", autouse=True)
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun | None]:
    """The first run of e2e/ and, after it, the second model of a copy of its home.

    They are longer than anything else, so they begin with the session, where a test is going to ask for them. They go
    on beside the other tests, most of which leave a core idle, in processes that let those of the tests go first.
    """
    asked = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    if "first_run" not in asked:
        yield None
        return
    folder = tmp_path_factory.mktemp("e2e")
    home, copy = folder / "home", folder / "challenged"
    background = ThreadPoolExecutor(1)
    try:
        first = background.submit(whole_way, home, QUICK, copy if "challenged" in asked else None)
        yield Begun(home, first, copy, background.submit(challenge, copy) if "challenged" in asked else None)
    finally:
        background.shutdown(cancel_futures=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a fresh home folder."""
    return load({"TOPSHELF_HOME": str(tmp_path / "home")}, SMALL_SPARK).settings


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    home = tmp_path_factory.mktemp("spark")
    session = spark_session(load({"TOPSHELF_HOME": str(home)}, SMALL_SPARK).settings)
    yield session
    session.stop()


@pytest.fixture
def lake(spark: SparkSession, settings: Settings) -> Lake:
    """An empty lake."""
    return Lake(spark, settings.lake_root)
