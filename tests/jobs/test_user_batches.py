"""Rows of user_features as arrays."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from jobs.user_batches import filters, user_batch

BATCH = pa.RecordBatch.from_pydict({
    "user_id": ["ann", "bob"],
    "liked": pa.array([[7, 5, 3], []], pa.list_(pa.int32())),  # newest first
    "watched": pa.array([[3, 5, 7, 9], [2]], pa.list_(pa.int32())),
    "favorite_genres": pa.array([[("Horror", 0.5), ("Lost", 0.1)], []], pa.map_(pa.string(), pa.float64())),
    "watches": pa.array([4, 0], pa.int32()),
    "age_band": ["25-34", None],
    "gender": [None, None],
    "region": ["US", None],
    "subscription_tier": ["basic", None],
    "maturity_limit": pa.array([4, 0], pa.int32()),
})  # fmt: skip


def test_histories_are_right_aligned_oldest_first_and_cut_to_the_newest() -> None:
    assert user_batch(BATCH, 4).history.tolist() == [[-1, 3, 5, 7], [-1, -1, -1, -1]]
    assert user_batch(BATCH, 2).history.tolist() == [[5, 7], [-1, -1]]
    nobody = user_batch(BATCH.slice(1), 2)
    assert (nobody.history.tolist(), nobody.profile["region"], nobody.watches.tolist()) == ([[-1, -1]], [None], [0])


def test_filters_hold_each_users_own_limits() -> None:
    bits = {"US": np.uint64(0b101), None: np.uint64(0b100)}
    artefact = SimpleNamespace(genre_names=("Comedy", "Horror"), region_bits=bits.__getitem__)
    made = filters(BATCH.slice(0), artefact)
    offsets, items = made.watched
    assert [items[offsets[row] : offsets[row + 1]].tolist() for row in range(2)] == [[3, 5, 7, 9], [2]]
    assert made.genre_weights.tolist() == [[0, 0.5], [0, 0]]
    assert (made.maturity_limit.tolist(), made.region_bit.tolist()) == ([4, 0], [0b101, 0b100])
