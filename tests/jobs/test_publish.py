"""Publication into the embedded store: what is planned, what readers see, what a crash leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from conf.errors import DataError, PermanentError
from conf.hours import Hour
from jobs import ledger, publish
from jobs.lake import Lake
from jobs.manifests import Scored
from jobs.tables import PLANS, PUBLICATIONS, PUBLISHED, RECOMMENDATIONS
from stores.base import LeaseLost, Row, Store, choose
from stores.opening import open_store
from stores.records import ListBody, body_hash, encode_body, pack_vector

FIRST, SECOND = Hour.parse("2026-01-10T05"), Hour.parse("2026-01-10T06")
NOW = datetime(2026, 1, 10, 7, tzinfo=UTC)


@pytest.fixture
def store(settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        yield opened


def recommend(lake: Lake, hour: Hour, lists: dict[str, list[int]]) -> Scored:
    """Recommendations of an hour, as scoring leaves them."""
    rows = []
    for user, items in lists.items():
        count = len(items)
        body = encode_body(
            ListBody(
                maturity_limit=0,
                region=None,
                segment=0xFFFF,
                vector=pack_vector(np.zeros(128, np.float32)),
                anchors=(),
                item_no=np.array(items, np.int32),
                score=np.zeros(count, np.uint8),
                source=np.zeros(count, np.uint8),
                anchor=np.zeros(count, np.uint8),
            )
        )
        named = [(item, f"i{item}", 0.5, "ann", None) for item in items]
        rows.append(
            (user, named, b"", None, None, 0, body, body_hash(body), "m", hour.date, hour.start.hour, "champion")
        )
    where = {"date": hour.date, "hour": hour.start.hour, "variant": "champion"}
    lake.replace(RECOMMENDATIONS, lake.spark.createDataFrame(rows, RECOMMENDATIONS.schema), where)
    return Scored("m", "v1", "artefact-1", len(lists), len(lists), 0, {})


def served(store: Store, user: str) -> list[int] | None:
    control = store.read_control()
    assert control is not None
    stored = choose(store.ring(user), control)
    return None if stored is None else stored.body.item_no.tolist()


def states(lake: Lake) -> dict[int, str]:
    return {row["generation"]: row["state"] for row in lake.read(PUBLICATIONS).collect()}


def test_only_what_changed_is_written_and_readers_switch_at_once(lake, settings, store):
    def publish_hour(hour: Hour, lists: dict[str, list[int]]) -> publish.Result:
        return publish.run(lake, hour, settings, store, recommend(lake, hour, lists), lambda: NOW)

    first = publish_hour(FIRST, {"ann": [1, 2], "bob": [3]})
    assert (first.generation, first.planned, first.written, first.rejected) == (1, 2, 2, 0)
    assert (served(store, "ann"), served(store, "bob"), served(store, "eve")) == ([1, 2], [3], None)

    again = publish.run(lake, FIRST, settings, store, recommend(lake, FIRST, {"ann": [1, 2], "bob": [3]}), lambda: NOW)
    assert (again.generation, again.state, again.planned) == (None, "unchanged", 0)

    second = publish_hour(SECOND, {"ann": [2, 1], "bob": [3]})
    assert (second.generation, second.planned, second.written) == (2, 1, 1)
    assert (served(store, "ann"), served(store, "bob")) == ([2, 1], [3])
    assert store.count() == 3  # ann's new row stands beside her old one
    rows = {row["user_id"]: (row["generation"], row["ring_position"]) for row in lake.read(PUBLISHED).collect()}
    assert rows == {"ann": (2, 1), "bob": (1, 0)}
    assert states(lake) == {1: "retired", 2: "current"}

    with pytest.raises(PermanentError, match=r"not later than 2026-01-10T06:00Z.*--republish"):
        publish_hour(FIRST, {"ann": [9]})
    with pytest.raises(PermanentError, match=r"already served by generation 2, and 1 lists.*--republish"):
        publish_hour(SECOND, {"ann": [9]})
    on_purpose = publish.run(
        lake, SECOND, settings, store, recommend(lake, SECOND, {"ann": [9]}), lambda: NOW, republish=True
    )
    assert (on_purpose.generation, served(store, "ann")) == (3, [9])


def test_an_empty_store_is_loaded_in_full(lake, settings, store):
    publish.run(lake, FIRST, settings, store, recommend(lake, FIRST, {"ann": [1], "bob": [2]}), lambda: NOW)
    store.close()
    elsewhere = settings.model_copy(update={"store": settings.store.model_copy(update={"path": "another"})})
    with open_store(elsewhere) as other:
        scored = recommend(lake, SECOND, {"ann": [1]})  # bob was not active in this hour
        result = publish.run(lake, SECOND, elsewhere, other, scored, lambda: NOW)
        assert (result.planned, result.generation) == (2, 2)
        assert states(lake) == {1: "retired", 2: "current"}
        assert (served(other, "ann"), served(other, "bob")) == ([1], [2])


def test_a_failed_load_leaves_the_old_lists_and_the_next_one_heals_it(lake, settings, store, monkeypatch):
    publish.run(lake, FIRST, settings, store, recommend(lake, FIRST, {"ann": [1]}), lambda: NOW)

    def lies(*_: object, **__: object) -> publish._Load:
        return publish._Load(written=0, bytes=0, rejected=())

    with monkeypatch.context() as broken:
        broken.setattr(publish, "_load", lies)
        with pytest.raises(DataError, match="1 rows planned, 0 written and 0 rejected"):
            publish.run(lake, SECOND, settings, store, recommend(lake, SECOND, {"ann": [2]}), lambda: NOW)
    control = store.read_control()
    assert control is not None
    assert (control.current, control.lease, control.aborted) == (1, None, (2,))
    assert served(store, "ann") == [1]
    assert states(lake) == {1: "current", 2: "aborted"}

    result = publish.run(lake, SECOND, settings, store, recommend(lake, SECOND, {"ann": [2]}), lambda: NOW)
    assert (result.generation, served(store, "ann")) == (3, [2])


def test_a_crash_between_switch_and_merge_heals_on_the_next_run(lake, settings, store, monkeypatch):
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    scored = recommend(lake, FIRST, {"ann": [1]})
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "merge", dies)
        with pytest.raises(KeyboardInterrupt):
            publish.run(lake, FIRST, settings, store, scored, lambda: NOW)
    assert served(store, "ann") == [1]
    assert not lake.exists(PUBLISHED)

    assert publish.run(lake, FIRST, settings, store, scored, lambda: NOW).planned == 0
    assert [row["generation"] for row in lake.read(PUBLISHED).collect()] == [1]
    assert states(lake) == {1: "current"}


def test_a_row_the_store_refuses_is_counted_and_not_taken_for_live(lake, settings, store):
    scored = recommend(lake, FIRST, {"ann": [1], "x" * 65: [2]})
    result = publish.run(lake, FIRST, settings, store, scored, lambda: NOW)
    assert (result.planned, result.written, result.rejected) == (2, 1, 1)
    assert [row["user_id"] for row in lake.read(PUBLISHED).collect()] == ["ann"]
    assert [row["user_id"] for row in lake.read(PLANS).collect()] == ["ann"]


def test_a_later_attempt_takes_the_lease_from_one_that_died_or_lingers(lake, settings, store, monkeypatch):
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(publish, "_verify", dies)
        with pytest.raises(KeyboardInterrupt):
            publish.run(lake, FIRST, settings, store, recommend(lake, FIRST, {"ann": [1]}), lambda: NOW)
    control = store.read_control()
    assert control is not None
    assert control.lease == 1
    assert served(store, "ann") is None

    publish.run(lake, FIRST, settings, store, recommend(lake, FIRST, {"ann": [1]}), lambda: NOW)
    assert served(store, "ann") == [1]
    assert states(lake) == {1: "aborted", 2: "current"}
    with pytest.raises(LeaseLost):
        store.write([Row("ann", 0, 0, b"late")], lease=1)


def test_of_two_publishers_one_wins(lake, settings, store, monkeypatch):
    """A second one takes over before the first has loaded: the first stops, and what is live is the second's."""
    load = publish._load

    def overtaken(*arguments: object) -> publish._Load:
        monkeypatch.setattr(publish, "_load", load)
        publish.run(lake, SECOND, settings, store, recommend(lake, SECOND, {"ann": [2]}), lambda: NOW)
        return load(*arguments)

    monkeypatch.setattr(publish, "_load", overtaken)
    with pytest.raises(DataError, match="generation 1: 1 rows planned, 0 written"):
        publish.run(lake, FIRST, settings, store, recommend(lake, FIRST, {"ann": [1]}), lambda: NOW)
    assert served(store, "ann") == [2]
    assert states(lake) == {1: "aborted", 2: "current"}


def test_a_lease_that_is_lost_stops_the_load(lake, settings, store, monkeypatch):
    """The control record moves on while rows are being written: the executors refuse, and nothing is switched."""
    load = publish._load

    def overtaken(*arguments: object) -> publish._Load:
        control = store.read_control()
        assert control is not None
        store.swap_control(control, replace(control, version=control.version + 1, attempts=9, lease=9))
        return load(*arguments)

    monkeypatch.setattr(publish, "_load", overtaken)
    with pytest.raises(Exception, match="LeaseLost"):
        publish.run(lake, FIRST, settings, store, recommend(lake, FIRST, {"ann": [1]}), lambda: NOW)
    assert served(store, "ann") is None
    assert states(lake) == {1: "aborted"}
