"""A step on a real Spark cluster: one master and one worker on loopback, whose executors are other processes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from assets.partitions import partitions
from assets.recommendations import recommendations_asset
from assets.resources import Topshelf
from assets.submitting import RUNNER
from conf.loading import load
from jobs.manifests import Built, save, scored
from jobs.tables import MODELS, RECOMMENDATIONS, USER_FEATURES
from models.modelfiles import MANIFEST
from tests.cli.conftest import write
from tests.cli.scored_home import HOUR, make
from tests.conftest import QUICK, SMALL_SPARK
from tests.services.servers import ObjectStorage

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
SMALL_EXECUTOR = {"spark.executor.memory": "512m", "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1"}
SMALL = [*SMALL_SPARK, "retrieval.ann=4", "retrieval.total=12", "retrieval.list_size=6"]
USERS = 40


def home_of_many(home: Path) -> None:
    """A home with what `recommendations` reads, for users who each watched two films of their own."""
    settings = make(home)
    made = scored(settings, HOUR)
    save(settings, HOUR, Built(made.artefact_id, "model", 30, ["Space", "Love"], []))
    manifest = settings.models_path / "model" / MANIFEST
    model = {"model_id": "model", "model_name": "m", "version": "v1", "artifact_path": "model", "status": "deployed",
             "sha256": sha256(manifest.read_bytes()).hexdigest(), "traffic_percent": 100, "metrics": [],
             "cut": HOUR.start, "created_at": HOUR.start, "deployed_at": HOUR.start}  # fmt: skip
    write(home, MODELS, [model])
    features = [
        {"user_id": f"u{number}", "watched": watched, "favorite_genres": [("Space", 0.4)], "watch_time_preference": [],
         "recent_watches": [{"item_no": n, "timestamp": HOUR.start, "liked": True} for n in watched], "watches": 2,
         "avg_session_length_min": 0.0, "last_active": HOUR.start, "maturity_limit": 2,
         "inputs_at": HOUR.end, "as_of": HOUR.end}
        for number in range(USERS) for watched in [[number % 27, number % 27 + 1]]
    ]  # fmt: skip
    write(home, USER_FEATURES, features, HOUR)


def run(home: Path, instance: dg.DagsterInstance, *overrides: str) -> dg.ExecuteInProcessResult:
    asset = recommendations_asset(partitions(load({"TOPSHELF_HOME": str(home)}).settings))
    return dg.materialize(
        [asset], instance=instance, partition_key=HOUR.key, resources={"topshelf": Topshelf(overrides=list(overrides))}
    )


def lists(lake: Path | str) -> pa.Table:
    return DeltaTable(f"{lake}/{RECOMMENDATIONS.name}").to_pyarrow_table().sort_by("user_id")


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    (event,) = result.asset_materializations_for_node("recommendations")
    return {name: value.value for name, value in event.metadata.items()}


class Killer(threading.Thread):
    """Kills the first of the processes that `find` finds, or its whole group."""

    def __init__(self, find: Callable[[], list[int]], group: bool) -> None:
        super().__init__(daemon=True)
        self.find, self.group = find, group
        self.killed: int | None = None

    def run(self) -> None:
        deadline = time.monotonic() + 300
        while self.killed is None and time.monotonic() < deadline:
            self.killed = next(iter(self.find()), None)
            time.sleep(0.1)
        if self.killed is not None:
            os.kill(os.getpgid(self.killed) if self.group else self.killed, signal.SIGKILL)


def processes() -> Iterator[tuple[int, list[str]]]:
    """Number and command line of each."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            yield int(folder.name), (folder / "cmdline").read_bytes().decode().split("\0")


def steps() -> list[int]:
    """The Pythons of steps."""
    return [pid for pid, (program, *rest) in processes() if "python" in program and str(RUNNER) in rest]


def executors_at_work() -> list[int]:
    """Executors that have started a Python, which of all that a step does scoring alone needs."""
    daemons = [pid for pid, line in processes() if "pyspark.daemon" in line]
    parents = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in daemons}
    return [
        pid for pid, line in processes() if pid in parents and any("CoarseGrainedExecutor" in part for part in line)
    ]


def uploaded(home: Path, storage: ObjectStorage) -> str:
    """Address of a copy of the home's lake on object storage."""
    client = storage.client()
    for file in filter(Path.is_file, (home / "lake").rglob("*")):
        client.upload_file(str(file), storage.bucket, str(file.relative_to(home)))
    return f"s3a://{storage.bucket}/lake"


def test_a_submitted_step_that_is_killed_is_tried_again_and_makes_the_same_lists(
    tmp_path: Path, spark: SparkSession, spark_cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = [*SMALL, "spark.launch=submit", f"spark.master={spark_cluster}", "alerts.retry_seconds=1",
                 f"spark.conf={json.dumps({**QUICK, **SMALL_EXECUTOR})}"]  # fmt: skip
    with dg.instance_for_test() as instance:
        home_of_many(tmp_path / "here")
        monkeypatch.setenv("TOPSHELF_HOME", str(tmp_path / "here"))
        here = run(tmp_path / "here", instance, *SMALL)

        home_of_many(tmp_path / "cluster")
        monkeypatch.setenv("TOPSHELF_HOME", str(tmp_path / "cluster"))
        killer = Killer(steps, group=True)
        killer.start()
        there = run(tmp_path / "cluster", instance, *submitted)
        said = [entry.user_message for entry in instance.all_logs(there.run_id)]

    again = [event for event in there.all_events if event.is_step_up_for_retry]
    assert len(again) == 1
    assert "ended with -9 before recommendations told how it went" in (again[0].event_specific_data.error.cause.message)
    assert killer.killed not in steps()
    assert sum("external process successfully opened dagster pipes" in text for text in said) >= 1
    assert len(lists(tmp_path / "here" / "lake")) == USERS
    assert lists(tmp_path / "cluster" / "lake").equals(lists(tmp_path / "here" / "lake"))
    assert metadata(there) == metadata(here)


def test_lists_made_on_object_storage_by_executors_that_are_killed_are_the_same(
    tmp_path: Path,
    spark: SparkSession,
    spark_cluster: str,
    object_storage: ObjectStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    credentials = {f"spark.hadoop.fs.s3a.{name}.key": object_storage.secret for name in ("access", "secret")}
    with dg.instance_for_test() as instance:
        home_of_many(tmp_path / "here")
        monkeypatch.setenv("TOPSHELF_HOME", str(tmp_path / "here"))
        run(tmp_path / "here", instance, *SMALL)

        home_of_many(tmp_path / "cluster")
        for name, value in {"TOPSHELF_HOME": str(tmp_path / "cluster"), **object_storage.env}.items():
            monkeypatch.setenv(name, value)
        root = uploaded(tmp_path / "cluster", object_storage)
        killer = Killer(executors_at_work, group=False)
        killer.start()
        run(
            tmp_path / "cluster", instance, *SMALL, "spark.launch=submit", f"spark.master={spark_cluster}",
            f"lake.root={root}", f"spark.conf={json.dumps({**QUICK, **SMALL_EXECUTOR, **credentials})}",
        )  # fmt: skip

    assert killer.killed is not None
    assert not (tmp_path / "cluster" / "lake" / RECOMMENDATIONS.name).exists()
    assert len(lists(root)) == USERS
    assert lists(root).equals(lists(tmp_path / "here" / "lake"))
