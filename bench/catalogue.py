"""A catalogue of synthetic items and users with lists of it, for measuring the service. Without Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from conf.vocabulary import EVERYWHERE, NO_ANCHOR, Source
from stores.artefact import encode_fragment, write_artefact
from stores.artefact_parts import ArtefactContent
from stores.base import Row, Store
from stores.control import Control
from stores.generation import Generation
from stores.records import MAX_ITEMS, ListBody, encode_body, encode_row, pack_vector, score_byte
from stores.sessions.base import SessionEvent, Sessions

DIM, GENRES, SIMILAR, POPULAR = 128, 20, 50, 200
SEGMENTS = ("25-34/US", "35-44/DE")
REGIONS = ("US", "DE")


def write(root: Path, items: int, seed: int) -> str:
    """Write an artefact of `content`; returns its id."""
    return write_artefact(root, content(items, seed))


def content(items: int, seed: int) -> ArtefactContent:
    """So many items, a tenth of which are withheld from somebody."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(items, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    primary = rng.integers(0, GENRES, items).astype(np.uint8)
    genres = [f"Genre {number}" for number in range(GENRES)]
    names = [f"item-{number}" for number in range(items)]
    scopes = ["global", "trending", "new", *(f"genre:{name}" for name in genres), *(f"segment:{s}" for s in SEGMENTS)]
    return ArtefactContent(
        item_ids=names,
        titles=[f"Film number {number}" for number in range(items)],
        directors=[f"Director {number % (items // 10)}" for number in range(items)],
        fragments=[
            encode_fragment(
                name,
                f"Film number {number}",
                thumbnail=f"https://images.example/{name}.jpg",
                genres=[genres[primary[number]], genres[(primary[number] + 1) % GENRES]],
                year=1950 + number % 75,
                rating="PG-13",
            )
            for number, name in enumerate(names)
        ],
        active=rng.random(items) > 0.03,
        maturity=rng.choice(np.array([0, 1, 2, 3, 4], np.uint8), items, p=[0.4, 0.2, 0.2, 0.15, 0.05]),
        licensed=np.where(rng.random(items) > 0.03, EVERYWHERE, np.uint64(1)),
        regions=list(REGIONS),
        available_from=np.full(items, -np.inf),
        available_until=np.where(rng.random(items) > 0.02, np.inf, 0.0),
        genres=np.uint64(1) << primary.astype(np.uint64),
        primary_genre=primary,
        genre_names=genres,
        vectors=vectors,
        context_items=rng.normal(size=(items, 8)).astype(np.float32) * 0.1,
        context_page=rng.normal(size=(3, 8)).astype(np.float32),
        context_pages=["", "home", "search"],
        context_daypart=rng.normal(size=(1, 4, 8)).astype(np.float32),
        context_regions=[""],
        context_weekday=rng.normal(size=(7, 8)).astype(np.float32),
        similar=rng.integers(0, items, (items, SIMILAR)).astype(np.int32),
        similar_score=np.tile(np.linspace(0.9, 0.4, SIMILAR, dtype=np.float32), (items, 1)),
        popular={scope: rng.permutation(items)[:POPULAR].astype(np.int32) for scope in scopes},
        segments=list(SEGMENTS),
        model_version="bench",
        made_for="bench",
    )


def user_id(number: int) -> str:
    """36 characters, as long as a UUID."""
    return f"user-{number:031}"


def publish(store: Store, artefact_id: str, users: int, items: int, seed: int) -> None:
    """A first generation with a list of 150 items for each user."""
    first = Control.first("bench")
    store.swap_control(None, first)
    leased = first.begun(1)
    store.swap_control(first, leased)
    rows = (Row(user_id(number), 0, 0, row) for number, row in enumerate(_rows(users, items, seed)))
    written = store.write(rows, 1).written
    assert written == users
    made_at = datetime.now(UTC).isoformat()
    store.swap_control(leased, leased.switched(Generation(1, artefact_id, "bench", "2026-01-01T00:00Z", made_at)))


def _rows(users: int, items: int, seed: int) -> Iterator[bytes]:
    rng = np.random.default_rng(seed)
    score = score_byte(np.linspace(2, -4, MAX_ITEMS, dtype=np.float32))
    sources = np.array([Source.ANN, Source.SIMILAR, Source.GENRE, Source.TRENDING, Source.NEW], np.uint8)
    for number in range(users):
        source = rng.choice(sources, MAX_ITEMS)
        body = ListBody(
            maturity_limit=4 - number % 2,
            region=REGIONS[number % 2],
            segment=number % 2,
            vector=pack_vector(rng.normal(size=DIM).astype(np.float32)),
            anchors=tuple(rng.integers(0, items, 5).tolist()),
            item_no=rng.choice(items, MAX_ITEMS, replace=False).astype(np.int32),
            score=score,
            source=source,
            anchor=np.where(source == Source.SIMILAR, 0, NO_ANCHOR).astype(np.uint8),
        )
        yield encode_row(encode_body(body), 1, 0)


def watch(sessions: Sessions, users: Sequence[int], items: int, events: int, now: float, seed: int) -> None:
    """Give each of the users a session of so many events in the last hour."""
    rng = np.random.default_rng(seed)
    for number in users:
        kinds = [("watch", "click")[age % 2] for age in range(events)]
        done = [SessionEvent(int(rng.integers(items)), kind, now - 60.0 * age) for age, kind in enumerate(kinds)]
        sessions.apply(user_id(number), done)
