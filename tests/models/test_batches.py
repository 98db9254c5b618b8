import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from models.batches import padded_history, stream, survey
from tests.models.blocks import BLOCK, make_world

VOCABULARIES = {"age_band": ["18-24", "55+"], "gender": [], "region": ["US"], "subscription_tier": [], "page": ["home"]}


@given(st.lists(st.lists(st.integers(0, 99), max_size=8) | st.none(), min_size=1, max_size=6), st.integers(1, 5))
def test_a_history_keeps_its_newest_watches_on_the_right(rows, width):
    padded = padded_history(pa.array(rows, pa.list_(pa.int32())), width)
    for row, got in zip(rows, padded.tolist(), strict=True):
        newest = (row or [])[-width:]
        assert got == [-1] * (width - len(newest)) + newest


def test_a_slice_of_a_column_is_read_from_its_own_start():
    column = pa.array([[1, 2], [3], [4, 5]], pa.list_(pa.int32()))[1:]
    assert padded_history(column, 2).tolist() == [[-1, 3], [4, 5]]


def ids(examples):
    return sorted(zip(examples.item_no.tolist(), map(tuple, examples.history.tolist()), strict=True))


def read(source, **more):
    return list(stream(source, ["train"], VOCABULARIES, 8, 32, more.pop("seed", [1]), window=2, **more))


def test_a_stream_gives_every_example_once_in_batches_of_one_size():
    source = make_world().source
    batches = read(source)
    assert {len(batch) for batch in batches[:-1]} == {32}
    expected = source.table.filter(pa.compute.equal(source.table["split"], "train"))
    assert sorted(np.concatenate([b.item_no for b in batches]).tolist()) == sorted(expected["item_no"].to_pylist())


def test_the_same_seed_gives_the_same_batches_and_another_seed_others():
    source = make_world().source
    first, again, other = read(source), read(source), read(source, seed=[2])
    assert all(np.array_equal(a.item_no, b.item_no) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a.item_no, b.item_no) for a, b in zip(first, other, strict=True))


def test_a_limited_stream_goes_on_where_the_last_one_ended_and_around_the_end():
    source = make_world().source
    total = sum(len(batch) for batch in read(source))
    parts = [read(source, limit=limit, skip=skip) for limit, skip in ((200, 0), (total - 200, 200))]
    both = sorted(pair for part in parts for batch in part for pair in ids(batch))
    assert both == sorted(pair for batch in read(source, limit=total) for pair in ids(batch))
    around = read(source, limit=total, skip=total - 5)
    assert sorted(pair for batch in around for pair in ids(batch)) == both


def test_a_survey_counts_positives_and_collects_values():
    found = survey(make_world().source, ["train", "valid"], 2 * BLOCK)
    assert found.positive_examples == 60 * 6
    assert found.vocabularies["age_band"] == ["18-24", "55+"]
    assert found.vocabularies["page"] == ["home", "search", "similar"]
    assert found.impressions == 0
