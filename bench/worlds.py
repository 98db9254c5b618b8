"""A lake, a store and its server for the time of a benchmark, in temporary folders."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from bench import lists
from cli.services.process import Server
from cli.services.programs import CASSANDRA, DYNAMODB_IN_MEMORY, LOOPBACK, Program
from conf.hours import Hour
from conf.loading import load
from conf.settings import Settings
from jobs import publish
from jobs.attempt import Result
from jobs.lake import Lake
from jobs.load import Progress
from jobs.manifests import Scored
from jobs.spark import spark_session
from jobs.tables import RECOMMENDATIONS
from stores.base import Store
from stores.opening import open_store

PROGRAMS = {"dynamodb": DYNAMODB_IN_MEMORY, "scylla": CASSANDRA}
OVERRIDES = (
    "gate.min_overlap=0",  # a new version of a synthetic list has nothing of the one before
    "gate.max_score_drift=100",
    "spark.shuffle_partitions=4",
)


@dataclass
class World:
    """A home folder with a store of one kind; hours are published to it one after the other."""

    settings: Settings
    lake: Lake
    store: Store
    artefact_id: str
    hours: int = 0
    last: list[Progress] = field(default_factory=list)

    def say(self, text: str) -> None:
        """A publication's remarks are not what is measured."""

    def progress(self, progress: Progress) -> None:
        self.last = [progress]

    def recommend(self, users: int, version: int, percent: int) -> tuple[Hour, Scored]:
        """Leave an hour's recommendations as scoring does: the lists that changed."""
        self.hours += 1
        hour = Hour(datetime(2026, 1, 1 + self.hours // 24, self.hours % 24, tzinfo=UTC))
        where: dict[str, str | int | object] = {"date": hour.date, "hour": hour.start.hour, "variant": "champion"}
        rows = lists.made(self.lake.spark, users, version, percent)
        rows = rows.withColumns({"model_id": F.lit("bench"), **{name: F.lit(value) for name, value in where.items()}})
        self.lake.append(RECOMMENDATIONS, rows)
        of_hour = (F.col("date") == hour.date) & (F.col("hour") == hour.start.hour)
        changed = self.lake.read(RECOMMENDATIONS).where(of_hour).count()
        return hour, Scored("bench", "bench", self.artefact_id, users, changed, users - changed, {})

    def publish(self, hour: Hour, scored: Scored) -> Result:
        return publish.run(self.lake, hour, self.settings, self.store, scored, lambda: datetime.now(UTC), self)


@contextmanager
def workshop(*overrides: str) -> Iterator[tuple[SparkSession, Path]]:
    """A Spark session by these settings and a folder for worlds.

    Nothing of either is left, also when the process is told to end.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="topshelf-bench-") as folder:
        spark = spark_session(_settings(Path(folder), *overrides))
        try:
            yield spark, Path(folder)
        finally:
            spark.stop()  # before the folder goes: a task that is still under way would make it anew


@contextmanager
def world(kind: str, spark: SparkSession, below: Path) -> Iterator[World]:
    """A world of its own, in a new folder, whose server, where the store has one, ends with the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=below, ignore_cleanup_errors=True)))
        address = stack.enter_context(served(kind, folder / "server"))
        settings = _settings(folder, f"store.kind={kind}", *OVERRIDES, *address)
        store = stack.enter_context(open_store(settings))
        store.create()
        yield World(settings, Lake(spark, settings.lake_root), store, lists.artefact(settings.artefacts_path))


def _settings(folder: Path, *overrides: str) -> Settings:
    """Those of a home in the folder, whatever the environment of whoever runs the benchmark says."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TOPSHELF_")}
    return load({**env, "TOPSHELF_HOME": str(folder / "home")}, overrides).settings


@contextmanager
def served(kind: str, folder: Path) -> Iterator[list[str]]:
    """Start the store's server; the settings that lead to it."""
    program: Program | None = PROGRAMS.get(kind)
    if program is None:
        yield []
        return
    folder.mkdir()
    server, port = Server(program, folder, os.environ), _free_port()
    server.start(port)
    try:
        if kind == "dynamodb":
            yield [f"dynamodb.endpoint=http://{LOOPBACK}:{port}"]
        else:
            yield [f"scylla.port={port}", "scylla.consistency=ONE"]
    finally:
        server.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port
