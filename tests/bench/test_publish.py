"""A tiny benchmark of the embedded store, in process: every case prints its line, in the agreed form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from bench import publish
from bench.loads import measure_load
from bench.memory import Peak
from bench.worlds import world

FIELDS = ["case", "value", "unit", "peer", "peer_value", "ratio", "n", "spread"]


def test_a_tiny_benchmark_prints_a_line_for_each_case(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with world("embedded", spark, tmp_path) as made:
        measure_load(made, rows=200, rounds=1)
    with world("embedded", spark, tmp_path) as made:
        publish.measure_shares(made, users=200, shares=(10,))
        publish.measure_far_rollbacks(made)
        publish.measure_switches(made)
    publish.measure_bytes()
    lines = {line["case"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(lines) == [
        *("load.embedded", "load.embedded.tuned", "share.embedded.10"),
        *("rollback.embedded.far", "switch.embedded", "rollback.embedded", "row.bytes.36", "row.bytes.64"),
    ]
    for line in lines.values():
        assert list(line) == FIELDS
        assert line["value"] > 0
        assert line["spread"][0] <= line["spread"][1]
        assert (line["peer"] is None) == (line["peer_value"] is None) == (line["ratio"] is None)
    load = lines["load.embedded"]
    assert load["n"] == 200
    assert load["ratio"] == pytest.approx(load["value"] / load["peer_value"], rel=0.01)
    assert lines["share.embedded.10"]["n"] == 20
    assert lines["row.bytes.64"]["value"] <= 1024
    assert list(tmp_path.iterdir()) == []


def test_the_peak_counts_memory_that_was_let_go_of_meanwhile():
    megabytes = 64
    with Peak() as before:
        pass
    with Peak() as peak:
        held = bytearray(b"x" * (megabytes << 20))
        peak.look()
        del held
    assert peak.anonymous - before.anonymous > (megabytes - 8) << 20
