"""Somebody is forgotten while a load writes their list and their events arrive; then every byte is searched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from conf.settings import Settings
from jobs import barrier, ingest, publish
from jobs.alone import Share
from jobs.forget import Forgetting
from jobs.lake import Lake
from jobs.proof import Proof
from jobs.tables import EVENTS, FORGOTTEN, PUBLICATIONS, REJECTS, SERVED, USERS
from stores.base import Store
from stores.opening import open_eventlog, open_eventlog_reader, open_sessions, open_shown, open_store
from stores.sessions.base import SessionEvent
from tests.jobs.conftest import at, put_events, put_users
from tests.jobs.publishing import NOW, Heard, Publisher, hour, open_gate, recommend

ANN = "ann-who-leaves@example.com"


def shown(user: str) -> dict[str, Any]:
    page = {name: [] for name in ("item_no", "catalogue", "positions", "propensities", "tiers")}
    words = dict.fromkeys(("context", "model_version", "assigned", "variant"), "x")
    numbers = {"timestamp": 0.0, "generation": 1, "offset": 0}
    return {"request_id": f"of {user}", "user_id": user, **numbers, **page, **words}


def event(name: str, user: str) -> dict[str, Any]:
    return {
        "event_id": name, "user_id": user, "item_id": "m1", "event_type": "watch", "rating": None,
        "timestamp": "2026-01-10T06:30:00Z", "context": {},
    }  # fmt: skip


@contextmanager
def with_statistics(spark: SparkSession) -> Iterator[None]:
    """As outside of tests: the logs of tables name the least and greatest ids of each file."""
    name = "spark.databricks.delta.stats.collect"
    spark.conf.set(name, "true")
    yield
    spark.conf.set(name, "false")


def places(home: Path, needle: str) -> set[str]:
    """Parts of the home folder in which a text stands, in any file: as it is, or in a column of Parquet."""
    return {
        "/".join(path.relative_to(home).parts[: 3 if "_delta_log" in path.parts else 2])
        for path in home.rglob("*")
        if path.is_file() and (needle.encode() in path.read_bytes() or needle in _decoded(path))
    }


def _decoded(path: Path) -> str:
    return str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""


@dataclass
class LoadUnderWay(Heard):
    """Holds a publication up before its load until ann is barred by somebody who began to forget her then."""

    begin: Callable[[], None] = lambda: None
    store: Store | None = None

    def say(self, text: str) -> None:
        super().say(text)
        if len(self.said) == 1:
            self.begin()
            deadline = time.monotonic() + 60
            while not self.store.read_control().bars(ANN):
                assert time.monotonic() < deadline
                time.sleep(0.05)


@pytest.fixture
def publisher(spark: SparkSession, lake: Lake, settings: Settings) -> Iterator[Publisher]:
    """A home that knows ann in every place, after a publication with a list of hers."""
    settings = open_gate(settings)
    with with_statistics(spark), open_store(settings) as store:
        publisher = Publisher(lake, settings, store)
        put_users(lake, {"user_id": ANN}, {"user_id": "bob"})
        put_events(lake, *({"user_id": user, "item_id": "m1", "timestamp": at("01-09 20:00")} for user in (ANN, "bob")))
        rejects = [("i", "users.csv", line, "bad", f'{{"userid":"{user}"}}') for line, user in enumerate((ANN, "bob"))]
        lake.append(REJECTS, lake.spark.createDataFrame(rejects, REJECTS.schema))
        assert publisher(4, {ANN: [1], "bob": [3]}).state == "current"
        first = lake.read(PUBLICATIONS).where("generation = 1 and step = 1")
        lake.upsert(PUBLICATIONS, first.withColumn("error", F.lit(f"not as planned: user {ANN}, user bob")))
        with closing(open_sessions(settings)) as sessions:
            sessions.apply(ANN, [SessionEvent(1, "watch", 1.0)])
            sessions.apply("bob", [SessionEvent(1, "watch", 1.0)])
        with closing(open_shown(settings, "worker", lambda pages: None)) as log:
            for user in (ANN, "bob"):
                log.add(shown(user))
        yield publisher


def forgetting(publisher: Publisher, said: list[str], sessions: Any) -> Forgetting:
    lake = publisher.lake
    return Forgetting(publisher.settings, publisher.store, sessions, lambda: lake, lambda: NOW, said.append, {})


def test_nothing_is_left_of_whom_a_load_and_late_events_race_with(publisher: Publisher) -> None:
    settings, home, lake = publisher.settings, publisher.settings.home, publisher.lake
    worker = open_eventlog(settings, "worker", lambda: 0.0)
    worker.append([event("in time", ANN), event("of bob", "bob")])
    assert places(home, ANN) >= {
        "eventlog/worker-00000001.log", "shown/worker-00000001.log", "sessions/data.mdb", "store/data.mdb",
        *(f"lake/{name}" for name in ("users", "events", "rejects", "recommendations", "published",
                                      "publication_plans", "publications")),
        *(f"lake/{name}/_delta_log" for name in ("users", "events", "published")),
    }  # fmt: skip

    said: list[str] = []
    proofs: dict[str, Proof] = {}
    sessions = open_sessions(settings)
    job = forgetting(publisher, said, sessions)
    thread = threading.Thread(target=lambda: proofs.update(job.run([ANN])))
    listener = LoadUnderWay(begin=thread.start, store=publisher.store)
    scored = recommend(lake, settings, hour(5), {ANN: [5], "bob": [6]})
    share = Share(home)
    result = publish.run(lake, hour(5), settings, publisher.store, scored, lambda: NOW, listener)
    assert (result.state, result.planned, result.written, result.rejected, result.erased) == ("current", 2, 1, 0, 1)
    assert "waiting for the runs under way, which work on the lake" in said
    del share
    worker.append([event("late", ANN)])  # by a worker that has not looked at the control record since
    worker.seal()
    thread.join(300)
    proof = proofs[ANN]
    assert proof.clean, (proof.found, said)
    assert {place.place: place.removed for place in proof.places} >= {"table users": 1, "table events": 1, "session": 1}

    worker.append([event("later of bob", "bob")])
    worker.close()
    with closing(open_eventlog_reader(settings)) as reader:
        later = ingest.run(lake, reader, settings.eventlog_path, lambda: NOW, barrier.load(lake, settings))
    assert (later.read, later.new, later.erased) == (1, 1, 0)
    assert places(home, ANN) == set()
    assert publisher.served(ANN, "bob") == [None, [6]]
    assert {row["event_id"] for row in lake.read(EVENTS).collect()} >= {"of bob", "later of bob"}
    assert [row["user_id"] for row in lake.read(USERS).collect()] == ["bob"]
    assert {row["user_id"] for row in lake.read(SERVED).collect()} == {"bob", None}
    assert [row["row"] for row in lake.read(REJECTS).collect()] == ['{"userid":"bob"}']
    errors = [row["error"] for row in lake.read(PUBLICATIONS).where("error is not null").collect()]
    assert errors == ["not as planned: user (forgotten), user bob"]
    assert lake.read(FORGOTTEN).count() == 1
    sessions.close()
