"""Search over 100,000 items, and what logging a page costs the request that showed it.

`python -m bench.search [ITEMS]` prints JSON lines: the index's build, size and opening, queries of seven kinds (as
typed, unfinished, misspelt, names, years), and one page handed to the log of what was shown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import cast

import numpy as np

from bench.lines import emit, progress
from serving.metrics import Metrics
from serving.search import Searcher
from serving.snapshot import Snapshot
from sim import names
from stores.search import SearchDocument, build_index, open_index
from stores.shown.base import Shown
from stores.shown.embedded import EmbeddedShownLog

QUERIES = 200
ROUNDS = 3
HITS = 200
PAGE = 20


def catalogue(rng: np.random.Generator, items: int) -> list[SearchDocument]:
    """Items with the titles, names and descriptions of the demo world."""
    people = names.people(rng, 3000)
    genres = [names.GENRES[place] for place in rng.integers(0, len(names.GENRES), items)]
    rows = zip(
        names.titles(rng, items),
        rng.integers(0, len(people), (items, 6)),
        genres,
        names.descriptions(rng, genres),
        rng.integers(1950, 2026, items),
        strict=True,
    )
    return [
        SearchDocument(title, [people[i] for i in crew[:5]], people[crew[5]], [genre], text, int(year))
        for title, crew, genre, text, year in rows
    ]


def queries(rng: np.random.Generator, documents: list[SearchDocument]) -> dict[str, list[str]]:
    """What people may type for some of the items, by kind."""
    some = [documents[place] for place in rng.integers(0, len(documents), QUERIES)]
    kinds: dict[str, list[str]] = {
        "whole title": [item.title for item in some],
        "unfinished": [item.title[: max(3, len(item.title) // 2)] for item in some],
        "letter missing": [_without(item.title, int(rng.integers(1, len(item.title)))) for item in some],
        "letters swapped": [_swapped(max(item.title.split(), key=len), rng) for item in some],
        "name": [item.cast[0] for item in some],
        "word and year": [f"{item.title.split()[-1]} {item.year}" for item in some],
        "common words": ["the", "a story", "in which", "t"] * (QUERIES // 4),
    }
    return kinds


def _without(text: str, place: int) -> str:
    return text[:place] + text[place + 1 :]


def _swapped(word: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(0, len(word) - 1))
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def search(root: Path, items: int) -> None:
    """Build, open and ask an index."""
    rng = np.random.default_rng(17)
    documents = catalogue(rng, items)
    folder = root / "index"
    folder.mkdir()
    progress(f"indexing {items:,} items")
    started = time.perf_counter()
    build_index(folder, documents)
    emit("search.build", [time.perf_counter() - started], "s", items)
    emit("search.size", [sum(file.stat().st_size for file in folder.iterdir()) / 1e6], "MB", items)
    emit("search.open", [_seconds(lambda: open_index(folder)) * 1e3 for _ in range(ROUNDS)], "ms", items)
    searcher = Searcher(Metrics())
    artefact = SimpleNamespace(artefact_id="bench", search_folder=folder)
    snapshot = cast(Snapshot, SimpleNamespace(artefact=artefact))
    asked = queries(rng, documents)
    searcher.search(snapshot, "warm", HITS)
    taken = {
        kind: [_seconds(partial(searcher.search, snapshot, text, HITS)) * 1e3 for text in texts * ROUNDS]
        for kind, texts in asked.items()
    }
    for kind, values in {**taken, "all": list(chain(*taken.values()))}.items():
        emit(f"search.query.p50 {kind}", [float(np.quantile(values, 0.5))], "ms", len(values))
        emit(f"search.query.p99 {kind}", [float(np.quantile(values, 0.99))], "ms", len(values))


def shown(root: Path) -> None:
    """What handing a page to the log costs the request, its record's making included."""
    dropped: list[int] = []
    log = EmbeddedShownLog(root / "shown", "bench", 1_000_000, dropped.append)
    catalogue_ids = [f"movie_{number}" for number in range(PAGE)]
    numbers, tiers, propensities = list(range(PAGE)), ["personalized"] * PAGE, [None] * PAGE

    def add() -> None:
        log.add(
            Shown(
                request_id="req_0f3a5b1c9d7e2468",
                user_id="user-17",
                context="home",
                timestamp=time.time(),
                item_no=numbers,
                catalogue=catalogue_ids,
                positions=numbers,
                propensities=propensities,
                tiers=tiers,
                generation=41,
                model_version="v3",
                assigned="champion",
                variant="champion",
                offset=0,
            )
        )

    values = [_seconds(add) * 1e6 for _ in range(20_000)]
    log.close()
    emit("shown.add.p50", [float(np.quantile(values, 0.5))], "us", len(values))
    emit("shown.add.p99", [float(np.quantile(values, 0.99))], "us", len(values))
    emit("shown.dropped", [float(sum(dropped))], "pages", len(values))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        search(Path(folder), int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
        shown(Path(folder))
