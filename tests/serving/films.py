"""Worlds of as many films as a test needs, and a recommender over what was published."""

from __future__ import annotations

import numpy as np

from conf.vocabulary import EVERYWHERE
from serving.follower import Follower
from serving.lookup import Lookup
from serving.metrics import Metrics
from serving.page import Page
from serving.recommender import Recommender
from serving.request import Request
from serving.snapshot import Snapshot
from stores.artefact import encode_fragment
from stores.opening import open_sessions
from stores.sessions.base import SessionEvent

NOW = 1_795_440_600.0
"""13:30 UTC on 23 November 2026."""


def films(count, **changes):
    """Everything about `count` films: no two of one genre, everybody may see all, similar to none, popular in order."""
    genres = [f"G{number}" for number in range(min(count, 60))]
    fields = {
        "item_ids": [f"m{number}" for number in range(count)],
        "titles": [f"Film {number}" for number in range(count)],
        "directors": [None] * count,
        "fragments": [
            encode_fragment(f"m{number}", f"Film {number}", thumbnail=None, genres=[], year=None, rating=None)
            for number in range(count)
        ],
        "active": np.ones(count, bool),
        "maturity": np.zeros(count, np.uint8),
        "licensed": np.full(count, EVERYWHERE, np.uint64),
        "regions": ["US", "DE"],
        "available_from": np.full(count, -np.inf),
        "available_until": np.full(count, np.inf),
        "genres": np.uint64(1) << (np.arange(count, dtype=np.uint64) % np.uint64(60)),
        "primary_genre": (np.arange(count) % 60).astype(np.uint8),
        "genre_names": genres,
        "vectors": np.zeros((count, 2), np.float32),
        "context_items": np.zeros((count, 2), np.float32),
        "similar": np.full((count, 3), -1, np.int32),
        "similar_score": np.zeros((count, 3), np.float32),
        "popular": {"global": np.arange(count, dtype=np.int32)},
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def numbers(*items):
    return np.array(items, np.int32)


def edited(rules, **sections):
    """The rules with some fields of some sections changed."""
    merged = rules.model_dump(by_alias=True)
    for name, changes in sections.items():
        merged[name] = {**merged[name], **changes} if isinstance(changes, dict) else changes
    return type(rules).model_validate(merged)


class Cinema:
    """A recommender over a world, with a clock that a test can turn."""

    def __init__(self, world, rules):
        self.metrics = Metrics()
        self.now = NOW
        self.sessions = open_sessions(world.settings)
        lookup = Lookup(world.store, self.sessions, world.settings.serving, self.metrics)
        self.recommender = Recommender(lookup, rules, lambda: self.now, self.metrics)
        follower = Follower(world.store, world.settings.artefacts_path, 60, self.metrics)
        follower.poll()
        assert follower.snapshot is not None
        self.snapshot: Snapshot = follower.snapshot

    def did(self, event_type, item_no, ago=60.0, user="ann"):
        self.sessions.apply(user, [SessionEvent(item_no, event_type, self.now - ago)])

    def home(self, limit=20, user="ann", seed="r0", **asked) -> Page:
        return self.recommender.home(self.snapshot, Request(user_id=user, limit=limit, seed=seed, **asked))

    def take_down(self, *items):
        taken = self.snapshot.active.copy()
        taken[list(items)] = False
        self.snapshot = Snapshot(self.snapshot.control, self.snapshot.generation, self.snapshot.artefact)
        self.snapshot.active = taken
