from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.errors import DataError
from conf.vocabulary import Source
from stores.base import MAX_ROW_BYTES, MAX_USER_ID_BYTES
from stores.records import (
    DIM,
    MAX_ITEM_NO,
    MAX_ITEMS,
    VECTOR_BYTES,
    CorruptRecord,
    ListBody,
    body_hash,
    decode_row,
    encode_body,
    encode_row,
    list_logits,
    logit_of,
    pack_vector,
    probability,
    row_generation,
    score_byte,
    unpack_vector,
)

# Of a DynamoDB item: the names of its three attributes and a number as sort key.
KEY_OVERHEAD = 16


def a_list(count=3, **changes):
    fields = {
        "maturity_limit": 2,
        "region": "US",
        "segment": 7,
        "vector": pack_vector(np.linspace(-1, 1, DIM, dtype=np.float32)),
        "anchors": (5, 0),
        "item_no": np.arange(count, dtype=np.int32) * 1000,
        "score": np.full(count, 128, dtype=np.uint8),
        "source": np.full(count, Source.SIMILAR, dtype=np.uint8),
        "anchor": np.full(count, 1, dtype=np.uint8),
        **changes,
    }
    return ListBody(**fields)


@st.composite
def lists(draw):
    count = draw(st.integers(0, MAX_ITEMS))
    numbers = st.integers(0, MAX_ITEM_NO)

    def array(low, high, dtype):
        return np.array(draw(st.lists(st.integers(low, high), min_size=count, max_size=count)), dtype=dtype)

    return ListBody(
        maturity_limit=draw(st.integers(0, 4)),
        region=draw(st.none() | st.sampled_from(["US", "DE-BY", "日本", "EUROPE"])),
        segment=draw(st.integers(0, 65535)),
        vector=pack_vector(np.array(draw(st.lists(st.floats(-1e6, 1e6, width=32), max_size=DIM)), dtype=np.float32)),
        anchors=tuple(draw(st.lists(numbers, max_size=5))),
        item_no=array(0, MAX_ITEM_NO, np.int32),
        score=array(0, 255, np.uint8),
        source=array(0, 5, np.uint8),
        anchor=array(0, 31, np.uint8),
    )


@given(lists(), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_what_is_encoded_comes_back(body, generation, watermark):
    encoded = encode_body(body)
    stored = decode_row(encode_row(encoded, generation, watermark))
    assert (stored.generation, stored.watermark) == (generation, watermark)
    assert encode_body(stored.body) == encoded
    for name in ("maturity_limit", "region", "segment", "vector", "anchors"):
        assert getattr(stored.body, name) == getattr(body, name)
    for name in ("item_no", "score", "source", "anchor"):
        assert getattr(stored.body, name).tolist() == getattr(body, name).tolist()


def test_a_full_row_with_the_longest_key_is_one_write_unit():
    row = encode_row(encode_body(a_list(MAX_ITEMS, anchors=(1, 2, 3, 4, 5), region="EUROPE")), 2**32 - 1, 2**32 - 1)
    assert len(row) + MAX_USER_ID_BYTES + KEY_OVERHEAD <= MAX_ROW_BYTES


@given(st.binary(max_size=1200))
def test_other_bytes_are_corrupt_and_nothing_else(blob):
    with pytest.raises(CorruptRecord):
        decode_row(blob)


@given(st.binary(max_size=1100))
def test_bytes_with_a_right_checksum_are_a_list_or_corrupt(body):
    head = struct.pack("<BIII", 1, 3, 4, 0)
    blob = struct.pack("<BIII", 1, 3, 4, zlib.crc32(body, zlib.crc32(head))) + body
    try:
        assert decode_row(blob).generation == 3
    except CorruptRecord:
        assert row_generation(blob) == 3


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_byte_is_noticed(place, change):
    row = bytearray(encode_row(encode_body(a_list(20)), 9, 17))
    row[place % len(row)] ^= change
    with pytest.raises(CorruptRecord):
        decode_row(bytes(row))


@pytest.mark.parametrize(
    "changes",
    [
        {"maturity_limit": 5},
        {"region": ""},
        {"region": "SEVENTY"},
        {"region": "A\0"},
        {"segment": -1},
        {"segment": 65536},
        {"vector": b""},
        {"anchors": (1, 2, 3, 4, 5, 6)},
        {"anchors": (-1,)},
        {"item_no": np.array([0, -1, 2])},
        {"item_no": np.array([0, MAX_ITEM_NO + 1, 2])},
        {"score": np.zeros(2, dtype=np.uint8)},
        {"source": np.array([6, 0, 0], dtype=np.uint8)},
        {"anchor": np.array([32, 0, 0], dtype=np.uint8)},
    ],
)
def test_what_does_not_fit_is_refused(changes):
    with pytest.raises(DataError):
        encode_body(a_list(**changes))


def test_too_many_items_and_too_large_numbers_are_refused():
    with pytest.raises(DataError):
        encode_body(a_list(MAX_ITEMS + 1))
    with pytest.raises(DataError):
        encode_row(encode_body(a_list()), 2**32, 0)


def test_equal_lists_have_equal_hashes_whatever_their_generation():
    one, same, other = encode_body(a_list()), encode_body(a_list()), encode_body(a_list(maturity_limit=3))
    assert body_hash(one) == body_hash(same) != body_hash(other)
    assert len(body_hash(one)) == 16


def test_scores_lie_on_a_grid_of_a_sixteenth():
    logits = np.array([-100, -8, -0.03, 0, 0.0625, 7.9375, 100])
    assert score_byte(logits).tolist() == [0, 0, 128, 128, 129, 255, 255]
    assert logit_of(np.array([0, 128, 255], dtype=np.uint8)).tolist() == [-8, 0, 7.9375]
    assert probability(np.array([128], dtype=np.uint8)).tolist() == [0.5]


@given(st.lists(st.floats(-1e3, 1e3, width=32, allow_subnormal=False), max_size=DIM))
def test_a_vector_comes_back_within_half_a_step(numbers):
    vector = np.array(numbers, dtype=np.float32)
    packed = pack_vector(vector)
    back = unpack_vector(packed)
    step = np.abs(vector).max(initial=0) / 127
    assert len(packed) == VECTOR_BYTES
    assert np.abs(back[: len(vector)] - vector).max(initial=0) <= step * 0.502
    assert not back[len(vector) :].any()


def test_vectors_that_cannot_be_stored_are_refused():
    for vector in (np.zeros(DIM + 1), np.array([np.nan]), np.array([np.inf])):
        with pytest.raises(DataError):
            pack_vector(vector.astype(np.float32))
    with pytest.raises(CorruptRecord):
        unpack_vector(b"\0" * (VECTOR_BYTES - 1))


def test_items_that_share_a_byte_lie_spread_over_its_step_in_the_order_of_the_list():
    steps = list_logits(np.array([130, 130, 128, 128, 128, 0], dtype=np.uint8)) * 16
    assert steps.tolist() == pytest.approx([2.25, 1.75, 1 / 3, 0, -1 / 3, -128])
    assert list_logits(np.zeros(0, np.uint8)).tolist() == []
