import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation import mask, measure, top_items, valid_cases
from tests.models.blocks import SCHEMA, TableSource, example


def source(*rows):
    return TableSource(pa.Table.from_pylist(list(rows), SCHEMA), rows=2)


def test_a_validation_case_is_a_users_earliest_valid_example_with_all_that_came_after():
    found = valid_cases(
        source(
            example(2, [0, 4, 5], 6, 1.0, "valid"),
            example(1, [9], 8, 1.0, "valid"),
            example(2, [0], 4, 1.0, "valid"),
            example(2, [0], 3, 0.0, "valid"),
            example(2, [], 0, 1.0, "train"),
            example(2, [0, 4], 5, 1.0, "valid"),
        ),
        history=3,
        limit=10,
    )
    assert found.users.history.tolist() == [[-1, -1, 9], [-1, -1, 0]]
    assert found.users.watches.tolist() == [1, 1]
    assert found.users.profile["age_band"] == ["18-24", "55+"]
    assert [part.tolist() for part in found.relevant] == [[0, 1, 4], [8, 4, 5, 6]]
    assert [part.tolist() for part in found.seen] == [[0, 1, 2], [9, 0]]


def test_no_more_users_than_the_limit_are_taken():
    rows = [example(user, [0], 3, 1.0, "valid") for user in range(7)]
    assert len(valid_cases(source(*rows), 3, 4)) == 4
    assert len(valid_cases(source(example(1, [], 0, 1.0, "train")), 3, 4)) == 0


@given(st.integers(1, 4), st.data())
def test_top_items_are_those_of_a_full_sort(k, data):
    number = st.sampled_from([0.0, 1.0, 2.0, -np.inf])
    scores = np.array([data.draw(st.lists(number, min_size=5, max_size=5)) for _ in range(3)], np.float32)
    for row, got in zip(scores, top_items(scores, k), strict=True):
        order = sorted(range(5), key=lambda item: (-row[item], item))[:k]
        assert got.tolist() == [item if row[item] > -np.inf else -1 for item in order]


def test_seen_items_are_not_ranked():
    cases = valid_cases(source(example(0, [1, 2], 0, 1.0, "valid")), 3, 10)

    def score(part):
        return np.tile(np.array([1, 3, 2, 0], np.float32), (len(part), 1))

    assert measure(cases, score, "x")["x.mrr@10"] == 1
    assert top_items(mask(score(cases), cases.seen), 4).tolist() == [[0, 3, -1, -1]]
