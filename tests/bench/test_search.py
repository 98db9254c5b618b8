"""The benchmark of search runs, and finds what it types."""

from __future__ import annotations

import json

import numpy as np

from bench import search


def test_every_kind_of_query_is_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(search, "QUERIES", 4)
    search.search(tmp_path, 100)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum("search.query.p50" in line["case"] for line in lines) == 8
    assert all(line["value"] > 0 for line in lines)


def test_what_is_typed_is_nearly_a_title():
    rng = np.random.default_rng(1)
    kinds = search.queries(rng, search.catalogue(rng, 1))
    (title,), (swapped,) = set(kinds["whole title"]), {"".join(sorted(text)) for text in kinds["letters swapped"]}
    assert {len(text) for text in kinds["letter missing"]} == {len(title) - 1}
    assert swapped == "".join(sorted(max(title.split(), key=len)))
