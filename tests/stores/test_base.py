from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conf.errors import DataError
from stores.base import choose
from stores.control import Control
from stores.generation import Generation
from stores.records import ListBody, encode_body, encode_row, pack_vector

CONTROL = replace(Control.first("a-store"), current=3)


def row(generation, item_no=0):
    one = np.zeros(1, dtype=np.uint8)
    vector = pack_vector(np.zeros(1, dtype=np.float32))
    body = ListBody(0, None, 0, vector, (), np.array([item_no], dtype=np.int32), one, one, one)
    return encode_row(encode_body(body), generation, 0)


def chosen(blobs, control=CONTROL, on_corrupt=None):
    stored = choose(dict(enumerate(blobs)), control, on_corrupt)
    return None if stored is None else stored.generation


def test_the_newest_row_up_to_the_current_generation_is_chosen_whatever_its_place():
    assert chosen([row(1), row(3), row(2)]) == 3
    assert chosen([row(4), row(2)]) == 2


def test_rows_of_a_later_load_aborted_and_bad_generations_are_invisible():
    assert chosen([row(4), row(5)]) is None
    assert chosen([row(1), row(2), row(3)], replace(CONTROL, aborted=(3,), bad=(2,))) == 1


def test_a_corrupt_row_is_passed_over_and_reported():
    seen = []
    broken = row(3)[:-1] + b"\xff"
    assert chosen([row(2), broken], on_corrupt=seen.append) == 2
    assert len(seen) == 1
    assert chosen([broken]) is None
    assert chosen([]) is None


def test_the_control_record_comes_back_from_json():
    generation = Generation(3, "abc", "v1", "2026-11-23T05:00Z", "2026-11-23T06:01:02Z")
    control = Control(7, "a-store", 3, 4, 4, (generation,), (2,), (1,))
    assert Control.from_json(control.to_json()) == control
    assert control.generation() == generation
    assert replace(control, current=2).generation() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"live": [{"number": 1}]}'])
def test_another_text_is_no_control_record(text):
    with pytest.raises(DataError):
        Control.from_json(text)
