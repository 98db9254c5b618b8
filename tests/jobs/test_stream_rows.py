"""What a micro-batch makes of each record."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from jobs.barrier import NOBODY, Barred
from jobs.stream_rows import _judge
from stores.barrier import hash_of
from stores.eventlog.kafka_reader import Topic

NOW = datetime(2026, 1, 10, 5, 20, tzinfo=UTC)
KEY = b"k" * 32
ANN = Barred(KEY, frozenset({hash_of(KEY, "ann")}))


def event(user: str) -> bytes:
    return json.dumps({"event_id": f"of {user}", "user_id": user, "item_id": "m1", "event_type": "click",
                       "timestamp": NOW.isoformat()}).encode()  # fmt: skip


def judged(barred: Barred, *values: bytes) -> list[dict[str, Any]]:
    rows = [{"partition": 0, "offset": offset, "value": value} for offset, value in enumerate(values)]
    (batch,) = _judge(Topic("id", (0,)), NOW, barred, [pa.RecordBatch.from_pylist(rows)])
    return batch.to_pylist()


def test_of_who_was_forgotten_only_the_place_of_a_record_is_kept() -> None:
    values = (event("ann"), event("bob"), b'{"user_id": "\\u0061nn"}', b"ann;and no JSON", b"no JSON")
    found = judged(ANN, *values)
    assert [row["offset"] for row in found] == [0, 1, 2, 3, 4]
    assert [row["event_id"] for row in found] == [None, "of bob", None, None, None]
    assert [row["value"] for row in found] == [None, None, None, None, b"no JSON"]
    assert "ann" not in str(found)
    everybody = judged(NOBODY, *values)
    assert [row["event_id"] for row in everybody] == ["of ann", "of bob", None, None, None]
    assert [row["reason"] is None for row in everybody] == [True, True, False, False, False]
