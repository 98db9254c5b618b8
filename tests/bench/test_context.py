"""The benchmark's calculation, on lists that a reader can order by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from bench.context import Service, Sought, measures, without_contexts
from bench.heldout import Watches, watches
from conf.rules import load_rules
from stores.artefact import load_artefact, write_artefact
from stores.records import UNKNOWN_SEGMENT, ListBody, pack_vector
from tests.stores.test_artefact import content

MORNING = datetime(2025, 6, 2, 7, tzinfo=UTC).timestamp()
"""A Monday, daypart 1."""


def test_of_one_watch_the_measures_are_its_place_and_a_user_counts_once():
    sought = Sought(np.array([0, 2, -1, 20, 19]), np.array([-1.0, -2, 0, -3, -1]))
    found = measures(sought, np.array([0, 0, 0, 2, 2]))
    assert found["ndcg@20"].tolist() == pytest.approx([1.5 / 3, 1 / np.log2(21) / 2])
    assert found["recall@20"].tolist() == pytest.approx([2 / 3, 1 / 2])
    assert found["log_likelihood"].tolist() == pytest.approx([-1, -2])


@pytest.fixture
def service(tmp_path):
    """Two items, the first a little better; on Monday mornings in the US the second gains."""
    weak = {name: getattr(content(), name) / np.float32(10) for name in ("context_page", "context_daypart")}
    artefact = load_artefact(tmp_path, write_artefact(tmp_path, content(**weak)))
    score, reason, anchor = np.array([[130, 129], [0, 0], [31, 31]], np.uint8)
    vector = pack_vector(np.zeros(artefact.vectors.shape[1], np.float32))
    body = ListBody(4, "US", UNKNOWN_SEGMENT, vector, (), np.array([0, 1], np.int32), score, reason, anchor)
    return Service(load_rules(), artefact, [body], scale=0.5)


def test_a_watch_is_looked_for_in_the_services_order_then_and_there(service):
    found = Watches(np.zeros(3, np.int64), np.array([0, 1, 2], np.int32), ["home"] * 3, np.full(3, MORNING))
    then = service.seek(found)
    assert then.place.tolist() == [1, 0, -1]
    gain = (2 - 0.2 - 1 / 16) / 0.5  # in units of what the lists are ordered by
    assert then.log_likelihood.tolist() == pytest.approx([-np.logaddexp(0, gain), -np.logaddexp(0, -gain), 0], rel=1e-3)
    assert replace(service, artefact=without_contexts(service.artefact)).seek(found).place.tolist() == [0, 1, -1]


def rows(*watched):
    """From (user, item_no, history, origin, label, hour)."""
    columns = ("user_id", "item_no", "history", "origin", "label", "page", "timestamp")
    values = [
        (user, item, history, origin, label, "home", datetime(2025, 6, 1, hour, tzinfo=UTC))
        for user, item, history, origin, label, hour in watched
    ]
    return pa.Table.from_pylist(
        [dict(zip(columns, row, strict=True)) for row in values],
        pa.schema([
            ("user_id", pa.string()), ("item_no", pa.int32()), ("history", pa.list_(pa.int32())),
            ("origin", pa.string()), ("label", pa.float64()), ("page", pa.string()),
            ("timestamp", pa.timestamp("us", "UTC")),
        ]),
    )  # fmt: skip


def test_a_watch_counts_at_the_time_of_the_impression_that_it_answered():
    first, found = watches(
        rows(
            ("b", 5, [1], "impression", 1.0, 9), ("a", 6, [2, 3], "impression", 1.0, 8),
            ("a", 2, [2, 3, 6], "impression", 1.0, 10), ("a", 6, [2, 3], "watch", 1.0, 11),
            ("b", 7, [1], "impression", 0.0, 9),
        )
    )  # fmt: skip
    assert first["history"].to_pylist() == [[2, 3], [1]]
    assert (found.user.tolist(), found.item_no.tolist()) == ([0, 1], [6, 5])
    assert [datetime.fromtimestamp(moment, UTC).hour for moment in found.moment] == [8, 9]


def test_without_impressions_the_watches_themselves_count():
    _, found = watches(rows(("a", 6, [], "watch", 1.0, 8), ("a", 7, [], "sampled", 0.0, 8)))
    assert (found.item_no.tolist(), found.page) == ([6], ["home"])
