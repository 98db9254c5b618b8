"""A world with a visible answer: users and items come in two blocks, and users watch only in their own.

Items 0–14 are block A, 15–29 block B; each user watches 8 items of the block, in an order of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BLOCK, USERS, WATCHES = 15, 60, 8
PROFILE = ("age_band", "gender", "region", "subscription_tier")


@dataclass
class TableSource:
    """Examples from a table in memory, a few rows a batch."""

    table: pa.Table
    rows: int = 50

    def batches(self, splits: Collection[str]) -> Iterator[pa.RecordBatch]:
        wanted = self.table.filter(pc.is_in(self.table["split"], pa.array(sorted(splits))))
        yield from wanted.to_batches(max_chunksize=self.rows)


@dataclass
class World:
    source: TableSource
    items: pa.Table
    holdout: pa.Table


def block_of(item_no: int) -> int:
    return item_no // BLOCK


def items_table(count: int = 2 * BLOCK) -> pa.Table:
    """Items with the genre of their block; those beyond the two blocks go on with block A."""
    genre = ["Space" if number < BLOCK or number >= 2 * BLOCK else "Love" for number in range(count)]
    return pa.table(
        {
            "item_no": pa.array(range(count), pa.int32()),
            "item_id": [f"item-{number}" for number in range(count)],
            "title": [f"{name} story" for name in genre],
            "description": pa.array([None] * count, pa.string()),
            "genres": pa.array([[name] for name in genre], pa.list_(pa.string())),
            "cast": pa.array([[f"{name} star"] for name in genre], pa.list_(pa.string())),
            "director": pa.array([None] * count, pa.string()),
            "year": pa.array([1990 if name == "Space" else 2010 for name in genre], pa.int32()),
            "rating": pa.array([None] * count, pa.string()),
        }
    )


def example(user: int, watched: list[int], item_no: int, label: float, split: str, **more: object) -> dict[str, object]:
    block = user % 2
    row = {
        "example_id": f"{user}-{item_no}-{label}",
        "user_id": f"user-{user}",
        "item_no": item_no,
        "label": label,
        "weight": 1.0,
        "origin": "watch" if label else "sampled",
        "history": watched,
        "watches": len(watched),
        "page": None,
        "position": None,
        "daypart": user % 4,
        "weekday": item_no % 7,
        "age_band": "18-24" if block else "55+",
        "gender": None,
        "region": "US",
        "subscription_tier": None,
        "split": split,
    }
    return row | more


SCHEMA = pa.schema([
    ("example_id", pa.string()), ("user_id", pa.string()), ("item_no", pa.int32()), ("label", pa.float32()),
    ("weight", pa.float32()), ("origin", pa.string()), ("history", pa.list_(pa.int32())), ("watches", pa.int32()),
    ("page", pa.string()), ("position", pa.int32()), ("daypart", pa.int32()), ("weekday", pa.int32()),
    ("age_band", pa.string()), ("gender", pa.string()), ("region", pa.string()), ("subscription_tier", pa.string()),
    ("split", pa.string()),
])  # fmt: skip
"""The columns of TRAINING_EXAMPLES that models read."""


def make_world(shown: Callable[[int, int], float | None] = lambda user, item_no: None) -> World:
    """shown(user, item_no): label of an impression of the item to the user, None for no impression."""
    rng = np.random.default_rng(3)
    rows, holdout = [], []
    for user in range(USERS):
        order = (rng.permutation(BLOCK)[:WATCHES] + BLOCK * (user % 2)).tolist()
        for place, item_no in enumerate(order[:-2]):
            split = "valid" if place == WATCHES - 3 else "train"
            rows.append(example(user, order[:place], item_no, 1.0, split))
            rows += [
                example(user, order[:place], int(other), 0.0, split)
                for other in rng.integers(0, 2 * BLOCK, 2)
                if other != item_no
            ]
        for item_no in range(2 * BLOCK):
            label = shown(user, item_no)
            if label is not None:
                split = "valid" if item_no % 5 == 0 else "train"
                position = int(rng.integers(0, 10))
                rows.append(example(user, order[:3], item_no, label, split, origin="impression", page="home",
                                    position=position))  # fmt: skip
        past, later = order[:-2], order[-2:]
        holdout.append(
            {
                "user_id": f"user-{user}",
                "history": past,
                "seen": past,
                "relevant": later,
                "watches": len(past),
                **dict.fromkeys(PROFILE),
            }
        )
    shuffled = [rows[place] for place in rng.permutation(len(rows))]
    lists = pa.list_(pa.int32())
    table = pa.Table.from_pylist(
        holdout,
        pa.schema([
            ("user_id", pa.string()), ("history", lists), ("seen", lists), ("relevant", lists),
            ("watches", pa.int32()), *[(name, pa.string()) for name in PROFILE],
        ]),
    )  # fmt: skip
    return World(TableSource(pa.Table.from_pylist(shuffled, SCHEMA)), items_table(), table)


SMALL = [
    "tower.dim=16", "tower.hidden=[32]", "tower.min_steps=60", "tower.epochs=6", "tower.batch=64", "tower.negatives=20",
    "tower.learning_rate=0.01", "ranker.hidden=[16, 8]", "ranker.epochs=2", "ranker.batch=128",
    "ranker.hard_negatives=4", "ranker.easy_negatives=4", "training.history=10", "training.threads=1",
    "retrieval.ann=20", "retrieval.total=30", "retrieval.list_size=10", "retrieval.batch_users=16",
    "retrieval.per_watch=5", "retrieval.per_genre=5", "retrieval.trending=5", "retrieval.new=5",
    "retrieval.fallback_list=30", "retrieval.genre_share=1.0",
]  # fmt: skip
