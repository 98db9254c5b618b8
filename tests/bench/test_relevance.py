"""From lists to lines and tables, on two users and four items."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from bench.relevance.measuring import Measured, System
from bench.relevance.report import lines, said_of_runs, tables
from tests.bench.relevance_data import holding_out, learnt

PAST = learnt([0], [0, 1], items=4)
SPLIT = holding_out(PAST, [2, 3], [3])
GENRES = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
ALL = System("Topshelf", [np.array([[2, 3], [3, 2]], np.int32), np.array([[2, 3], [2, 3]], np.int32)])
NONE = System("EASE-R", [np.array([[1, -1], [2, -1]], np.int32)])
HALF = System("popularity", [np.array([[1, 2], [2, 3]], np.int32)])


@pytest.fixture
def measured() -> Measured:
    return Measured(SPLIT, GENRES, [HALF, NONE, ALL])


def test_every_seed_counts_and_users_are_averaged(measured):
    assert measured.accuracy["Topshelf"]["recall@20"].tolist() == [[1, 1], [1, 1]]
    assert measured.accuracy["Topshelf"]["mrr@20"].tolist() == [[1, 1], [1, 0.5]]
    assert measured.variety["Topshelf"]["coverage"].tolist() == [0.5, 0.5]
    assert measured.variety["EASE-R"]["diversity"].tolist() == [0]


def test_segments_are_users_by_history_and_held_out_items_by_their_positives(measured):
    counts = {name: users for name, (users, _) in measured.segments.items()}
    assert counts == {"history 1-9": 2, "items 0": 2}
    _, systems = measured.segments["items 0"]
    assert systems["popularity"]["recall@20"].tolist() == [0.75]


def test_the_interval_of_a_difference_is_of_the_same_users(measured):
    means, differences = measured.intervals("EASE-R", 100, 1)
    assert means["Topshelf"]["recall@20"] == (1, 1)
    assert differences["Topshelf"]["recall@20"] == (1, 1)
    assert means["popularity"]["recall@20"] == (0.5, 1)


def test_lines_have_the_agreed_form_and_tables_name_everybody(measured, capsys):
    found = measured.intervals("EASE-R", 100, 1)
    lines("user", measured, "EASE-R", *found)
    tables("user", measured, "EASE-R", *found)
    out, said = capsys.readouterr()
    by_case = {line["case"]: line for line in map(json.loads, out.splitlines())}
    assert by_case["user.topshelf.mrr@20"] == {
        "case": "user.topshelf.mrr@20", "value": 0.875, "unit": "of 1", "peer": None, "peer_value": None,
        "ratio": None, "n": 2, "spread": [0.75, 1],
    }  # fmt: skip
    assert by_case["user.topshelf.coverage@20"]["ratio"] == 1
    assert by_case["user.popularity.recall@20.interval"]["spread"] == [0.5, 1]
    assert by_case["user.topshelf.minus.ease-r.recall@20.interval"]["value"] == 1
    assert by_case["user.popularity.items-0-recall@20"]["value"] == 0.75
    assert all(name in said for name in ("Topshelf", "popularity", "EASE-R", "items 0", "history 1-9"))


def test_what_the_runs_say_of_themselves_has_lines_of_its_own(capsys):
    runs = [
        SimpleNamespace(
            steps={"models": seconds, "published": 1}, metrics={"lists.recall@20": 0.2, "lists.mrr@10": 0.1}
        )
        for seconds in (5, 7)
    ]
    said_of_runs(runs, 9)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["case"], line["value"], line["n"]) for line in found] == [
        ("topshelf.training", 6, 9), ("topshelf.run", 7, 9), ("reported.lists.recall@20", 0.2, 9),
    ]  # fmt: skip
