"""Somebody is forgotten while a load writes their list and their events arrive; then every byte is searched."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from pyspark.sql.pandas.types import to_arrow_schema

from conf.errors import DataError, RetryableError
from conf.settings import Settings
from jobs import barrier, ingest, publish
from jobs.alone import Share
from jobs.forget import Elsewhere, Forgetting
from jobs.lake import Lake
from jobs.proof import Proof, Trace
from jobs.tables import EVENTS, FORGOTTEN, PUBLICATIONS, PUBLISHED, REJECTED_EVENTS, REJECTS, SERVED, USERS, Table
from stores.base import Row, Store
from stores.control import Control
from stores.opening import open_eventlog, open_eventlog_reader, open_sessions, open_shown, open_store
from stores.records import body_hash
from stores.sessions.base import SessionEvent
from tests.jobs.publishing import NOW, Heard, Publisher, encoded, hour, open_gate, recommend

ANN = "ann-who-leaves@example.com"


def shown(user: str) -> dict[str, Any]:
    page = {name: [] for name in ("item_no", "catalogue", "positions", "propensities", "tiers")}
    words = dict.fromkeys(("context", "model_version", "assigned", "variant"), "x")
    numbers = {"timestamp": 0.0, "generation": 1, "offset": 0}
    return {"request_id": f"of {len(user)}", "user_id": user, **numbers, **page, **words}


def event(name: str, user: str) -> dict[str, Any]:
    return {
        "event_id": name, "user_id": user, "item_id": "m1", "event_type": "watch", "rating": None,
        "timestamp": "2026-01-10T06:30:00Z", "context": {},
    }  # fmt: skip


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


def put(lake: Lake, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of a new table, without Spark; columns that a row lacks are null."""
    schema = pa.schema([field.with_nullable(True) for field in to_arrow_schema(table.schema, timezone="UTC")])
    complete = [{name: row.get(name) for name in table.columns} for row in rows]
    write_deltalake(lake.path(table), pa.Table.from_pylist(complete, schema), partition_by=list(table.partitions))


@pytest.fixture
def publisher(lake: Lake, settings: Settings) -> Iterator[Publisher]:
    """A home that knows ann in every place. Tables are written as outside of tests, with statistics in their logs."""
    settings = open_gate(settings)
    put(lake, USERS, [{"user_id": user, "maturity_limit": 0} for user in (ANN, "bob")])
    arrived = {"event_type": "watch", "item_id": "m1", **dict.fromkeys(("timestamp", "ingested_at"), NOW),
               "date": NOW.date(), "hour": NOW.hour}  # fmt: skip
    put(lake, EVENTS, [{"event_id": f"of {user}", "user_id": user, **arrived} for user in (ANN, "bob")])
    rows = [{"line": line, "row": f'{{"userid":"{user}"}}'} for line, user in enumerate((ANN, "bob"))]
    put(lake, REJECTS, [{"import_id": "i", "file": "users.parquet", **row} for row in rows])
    broken = [{"part": "worker", "offset": line, "reason": "not JSON", "date": NOW.date(), "ingested_at": NOW,
               "value": f'{{"user_id":"{user}"'.encode()} for line, user in enumerate((ANN, "bob"))]  # fmt: skip
    put(lake, REJECTED_EVENTS, broken)
    put(lake, PUBLISHED, [{**published(ANN), "store_id": "an earlier one"}])
    with closing(open_sessions(settings)) as sessions:
        for user in (ANN, "bob"):
            sessions.apply(user, [SessionEvent(1, "watch", 1.0)])
    with closing(open_shown(settings, "worker", lambda pages: None)) as log:
        for user in (ANN, "bob"):
            log.add(shown(user))
    with open_store(settings) as store:
        first = Control.first("a-store")
        store.swap_control(None, first)
        store.swap_control(first, first.begun(1))
        store.write([Row(ANN, 0, 0, b"an attempt's that died")], 1)
        yield Publisher(lake, settings, store)


def published(user: str) -> dict[str, Any]:
    body = encoded([1])
    return {
        "user_id": user, "variant": "champion", "items": [], "region": None, "maturity_limit": 0, "body": body,
        "hash": body_hash(body), "ring_position": 0, "generation": 1, "store_id": "a-store", "hour": NOW,
    }  # fmt: skip


def forgetting(publisher: Publisher, said: list[str], sessions: Any) -> Forgetting:
    lake = publisher.lake
    return Forgetting(publisher.settings, publisher.store, sessions, lambda: lake, lambda: NOW, said.append, {})


def test_nothing_is_left_of_whom_a_load_and_late_events_race_with(publisher: Publisher) -> None:
    settings, home, lake = publisher.settings, publisher.settings.home, publisher.lake
    worker = open_eventlog(settings, "worker", lambda: 0.0)
    worker.append([event("in time", ANN), event("of bob", "bob")])
    assert places(home, ANN) >= {
        "eventlog/worker-00000001.log", "shown/worker-00000001.log", "sessions/data.mdb", "store/data.mdb",
        *(f"lake/{name}" for name in ("users", "events", "rejects", "rejected_events", "published")),
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
    assert any(place.startswith("lake/recommendations") for place in places(home, ANN))
    assert any(place.startswith("lake/publication_plans") for place in places(home, ANN))
    assert "waiting for the runs under way, which work on the lake" in said
    del share
    worker.append([event("late", ANN)])  # by a worker that has not looked at the control record since
    worker.seal()
    thread.join()
    proof = proofs[ANN]
    assert proof.clean, (proof.found, said)
    removed = {place.place: place.removed for place in proof.places}
    once = ("table users", "table events", "table rejects", "table rejected_events", "session", "ring")
    assert {place: removed.get(place) for place in once} == dict.fromkeys(once, 1)

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
    assert [bytes(row["value"]) for row in lake.read(REJECTED_EVENTS).collect()] == [b'{"user_id":"bob"']
    assert lake.read(FORGOTTEN).count() == 1
    sessions.close()


@pytest.mark.soak
def test_what_was_stopped_is_gone_on_with_and_found_again_by_its_id(lake: Lake, settings: Settings) -> None:
    put(lake, USERS, [{"user_id": user, "maturity_limit": 0} for user in (ANN, "7", "bob")])
    rows = [
        tuple(published(user)[name] if name != "region" else None for name in PUBLISHED.columns)
        for user in (ANN, "bob")
    ]
    lake.append(PUBLISHED, lake.spark.createDataFrame(rows, PUBLISHED.schema).coalesce(1))  # rows that go are marked
    text = f"7 lists of 8 are short: user {ANN}, user 7, user 77"
    check = {"name": "short_lists", "passed": False, "value": 1.0, "limit": 0.0, "text": text}
    put(lake, PUBLICATIONS, [{"generation": 1, "step": 1, "checks": [check], "error": text}])
    (settings.home / "notes.txt").write_text('7 items; {"user_id": "7"}; user 77')

    def stopped(users: Collection[str]) -> Counter[str]:
        raise RetryableError("stopped")

    said: list[str] = []
    with open_store(settings) as store, closing(open_sessions(settings)) as sessions:

        def job(elsewhere: Elsewhere) -> Forgetting:
            return Forgetting(settings, store, sessions, lambda: lake, lambda: NOW, said.append, {"else": elsewhere})

        with pytest.raises(RetryableError):
            job(stopped).run([ANN, "7"])
        assert store.read_control().bars(ANN)
        found = job(lambda users: {ANN: 2}).run([ANN, "7"])
        assert (found[ANN].clean, found["7"].clean) == (True, False)
        assert found["7"].found == [Trace("file notes.txt", 1)]
        assert {place.place: place.removed for place in found[ANN].places} == {
            "ring": 0, "session": 0, "table users": 1, "table published": 1, "table publications": 1, "else": 2,
        }  # fmt: skip
        (settings.home / "notes.txt").unlink()
        assert job(stopped).check(["7"])["7"].clean
        with pytest.raises(DataError, match="'bob' was ever forgotten"):
            job(stopped).check(["bob"])
    proofs = sorted((settings.home / "forgotten").glob("*.json"))
    assert [proof.stem for proof in proofs] == sorted(proof.hash for proof in found.values())
    assert places(settings.home, ANN) == set()
    (told,) = lake.read(PUBLICATIONS).collect()
    said_now = "7 lists of 8 are short: user (forgotten), user (forgotten), user 77"
    assert (told["checks"][0]["text"], told["error"]) == (said_now, said_now)
    assert [row["user_id"] for row in lake.read(PUBLISHED).collect()] == ["bob"]
