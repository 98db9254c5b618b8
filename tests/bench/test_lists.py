"""Synthetic lists are real ones, and a benchmark's line has the agreed form."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench import lists
from bench.lines import emit
from stores.records import MAX_ITEMS, decode_row, encode_row


def test_a_list_has_as_many_different_items_as_a_row_holds_and_changes_with_its_version():
    users = np.arange(1000)
    items = lists.item_numbers(users, version=3)
    assert items.shape == (1000, MAX_ITEMS)
    assert all(len(set(row)) == MAX_ITEMS for row in items.tolist())
    assert (items != lists.item_numbers(users, version=4)).any(axis=1).all()


def test_a_body_reads_back_as_the_list_it_was_made_of():
    items = lists.item_numbers(np.array([0, 41]), version=1)
    for row, body in zip(items, lists.bodies(items), strict=True):
        assert decode_row(encode_row(body, 1, 0)).body.item_no.tolist() == row.tolist()


def test_a_line_gives_the_median_of_the_pairs_and_their_spread(capsys: pytest.CaptureFixture[str]):
    emit("load.x", [10, 30, 20], "rows/s", 5, "bare", [10, 10, 40])
    assert json.loads(capsys.readouterr().out) == {
        "case": "load.x", "value": 20, "unit": "rows/s", "peer": "bare", "peer_value": 10, "ratio": 1, "n": 5,
        "spread": [0.5, 3],
    }  # fmt: skip
    emit("switch.x", [1, 3, 2], "ms", 3)
    assert json.loads(capsys.readouterr().out)["spread"] == [1, 3]
