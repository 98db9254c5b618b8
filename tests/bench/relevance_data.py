"""Interactions small enough to work out by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bench.relevance.interactions import UNKNOWN, About, Interactions
from bench.relevance.splits import Split, Training
from models.content import Bags


def about(items: int, release: list[int] | None = None, tokens: list[list[int]] | None = None) -> About:
    """Every item has the one genre of its number modulo 2; without release or tokens nothing is known of them."""
    bags = tokens or [[]] * items
    return About(
        np.eye(2, dtype=np.float32)[np.arange(items) % 2],
        Bags(np.cumsum([0, *map(len, bags)]), np.array([token for bag in bags for token in bag], np.int64)),
        np.full(items, UNKNOWN) if release is None else np.array(release, np.int64),
    )


def interactions(*users: dict[int, int], items: int, release: list[int] | None = None) -> Interactions:
    """Each user as {item: time}; see `about`."""
    rows = sorted((user, time, item) for user, liked in enumerate(users) for item, time in liked.items())
    user, time, item = (np.array([row[place] for row in rows], np.int64) for place in range(3))
    return Interactions(
        [f"u{number}" for number in range(len(users))],
        [f"i{number}" for number in range(items)],
        about(items, release),
        user.astype(np.int32),
        item.astype(np.int32),
        time,
    )


def learnt(*users: list[int], items: int, tokens: list[list[int]] | None = None) -> Training:
    """Users by what they liked, at the times 1, 2, 3 …"""
    return Training(
        np.cumsum([0, *map(len, users)]),
        np.array([item for liked in users for item in liked], np.int32),
        np.array([place + 1 for liked in users for place in range(len(liked))], np.int64),
        about(items, tokens=tokens),
    )


def holding_out(training: Training, *users: list[int]) -> Split:
    """A split in which every user has something held out."""
    relevant = np.cumsum([0, *map(len, users)]), np.array([item for held in users for item in held], np.int32)
    everything = np.ones(training.n, bool)
    return Split(training, np.arange(len(users)), relevant, np.zeros(len(users), np.int64), everything)


def rows(flat: tuple[np.ndarray, np.ndarray]) -> list[list[int]]:
    offsets, values = flat
    return [values[start:stop].tolist() for start, stop in pairwise(offsets)]
