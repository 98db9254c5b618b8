import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from models.sequences import Sequences, read_sequences, steps, windows
from tests.models.blocks import SCHEMA, TableSource, example

VOCABULARIES = {"age_band": ["18-24", "55+"], "gender": [], "region": [], "subscription_tier": []}


def source(*rows):
    return TableSource(pa.Table.from_pylist(list(rows), SCHEMA))


def read(where, limit=100):
    return read_sequences(where, ["train"], VOCABULARIES, where.table.num_rows, limit)


def made(*lengths):
    total = sum(lengths)
    return Sequences(
        np.cumsum([0, *lengths]),
        np.arange(total, dtype=np.int32),
        np.ones(total, bool),
        np.zeros(total, np.int32),
        np.zeros((len(lengths), 4), np.int64),
    )


def test_histories_are_put_together_from_examples_in_any_order():
    found = read(
        source(
            example(1, [7, 8], 9, 1.0, "train", watches=4),
            example(2, [], 5, 1.0, "train"),
            example(1, [7], 8, 1.0, "train", watches=3),
            example(2, [], 6, 0.0, "train"),
            example(2, [5], 6, 1.0, "valid"),
        )
    )
    assert found.offsets.tolist() == [0, 3, 4]
    assert found.items.tolist() == [7, 8, 9, 5]
    assert found.target.tolist() == [False, True, True, True]
    assert found.watches.tolist() == [0, 3, 4, 0]
    assert found.profile[:, 0].tolist() == [1, 2]


def test_of_too_many_examples_whole_users_are_left_out():
    rows = [example(user, list(range(place)), place, 1.0, "train") for user in range(200) for place in range(5)]
    found = read(source(*rows), limit=500)
    assert set(np.diff(found.offsets)) == {5}
    assert 60 < len(found.profile) < 140


def test_no_examples_are_no_sequences():
    assert len(read(source()).items) == 0


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(1, 9), st.integers(0, 99))
def test_every_place_is_foretold_in_one_window_from_places_before_it(lengths, history, seed):
    sequences = made(*lengths)
    found = windows(sequences, history, np.random.default_rng(seed))
    assert (found.stop - found.start).max() <= history + 1
    foretold = [place for start, stop in zip(found.start, found.stop, strict=True) for place in range(start + 1, stop)]
    firsts = set(sequences.offsets[:-1].tolist())
    assert sorted(foretold) == [place for place in range(sum(lengths)) if place not in firsts]
    assert firsts <= set(found.start.tolist())


def test_steps_share_the_windows_evenly_up_to_the_limit():
    found = windows(made(*[3] * 40), 5, np.random.default_rng(1))
    size = np.full(40, 3)
    whole = list(steps(found, size, 4, 1000, np.random.default_rng(1)))
    assert [len(part) for part in whole] == [10] * 4
    assert sorted(user for part in whole for user in part.user) == list(range(40))
    assert sum(len(part) for part in steps(found, size, 4, 30, np.random.default_rng(1))) == 10
