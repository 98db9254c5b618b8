"""Full-text search: what a user types becomes a query over words, never syntax, and its answer item numbers.

A hit's score lies between 0 and 1 and can be compared between queries: half of it for how well the words match (best
in titles, then cast, director, genres and description; best exact, then as a prefix, then misspelt; rare words weigh
more), the rest for matching all words and for being the whole title.
"""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tantivy import Occur, Query

from conf.errors import DataError
from serving.metrics import Metrics
from serving.snapshot import Snapshot
from stores.artefact import Artefact
from stores.search import ARTICLES, FIELDS, MAX_WORDS, PRIOR, SHORT_TITLE, WHOLE, YEAR, SearchIndex, open_index, words

log = logging.getLogger(__name__)
MAX_HITS = 1000
MAX_CHARACTERS = 200
"""Of a query; the rest is left out."""
KEPT_INDEXES = 2
"""The one of the current generation, and the one before."""

FIELD_STRENGTH = {"title": 1.0, "cast": 0.8, "director": 0.7, "genres": 0.6, "description": 0.4}
YEAR_STRENGTH = 0.5
PREFIX, MISSPELT, MISSPELT_TWICE, MISSPELT_PREFIX = 0.85, 0.3, 0.25, 0.2
"""Of the strength of an exact match in the same field."""
WORDS_SHARE, COMPLETE_SHARE, WHOLE_SHARE = 0.5, 0.3, 0.2
"""Of a score: how well words match, that all of them do, that they are the whole title."""
WITHOUT_ARTICLE, BEGUN = 0.15, 0.1
"""Instead of WHOLE_SHARE: the whole title but its article; the beginning of the title."""

ENOUGH = 10
"""With fewer hits that match every word as it was typed, misspellings and missing words are looked for."""
FLOOR = 0.5
"""Hits of that second look below this share of the best one are left out."""
RARE = 10
"""A word that fewer items have may be a misspelling."""
MAX_MISSPELT = 4
"""Words, at most, that are looked for as misspellings."""
FUZZY_LENGTHS = range(4, 21)
ONE_EDIT_UP_TO = 7
"""Letters of a word in which only one misspelling is forgiven; longer ones have two."""
MIN_PREFIX = 3
"""A shorter last word is taken for the beginning of a name or a word in a title only."""
COMMON_SHARE, COMMON = 0.1, 1000
"""A word that more of the items have is no beginning of another, and finds nothing where the query has a rarer one."""
YEARS = range(1880, 2101)


@dataclass(frozen=True, eq=False)
class Hits:
    """item_no (n,) int32 and score (n,) float32 from 0 to 1, best first, without any filter.

    available: False where the artefact has no search index, or one that cannot be read.
    """

    item_no: NDArray[np.int32]
    score: NDArray[np.float32]
    available: bool = True


NO_HITS = Hits(np.zeros(0, np.int32), np.zeros(0, np.float32))
UNAVAILABLE = Hits(NO_HITS.item_no, NO_HITS.score, available=False)


class Searcher:
    """Searches the indexes of the artefacts being served. Threads may share it; each opens on first use."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._opening = threading.Lock()
        self._opened: dict[str, SearchIndex | None] = {}

    def search(self, snapshot: Snapshot, text: str, limit: int) -> Hits:
        """The items that `text` finds, at most `limit` (1 to 1,000). Takes any text; never raises.

        The last word may be the beginning of one. Time is bounded: 200 characters and 12 words count.
        """
        index = self._index(snapshot.artefact)
        if index is None:
            return UNAVAILABLE
        wanted = words(text[:MAX_CHARACTERS])[:MAX_WORDS]
        if not wanted:
            return NO_HITS
        try:
            return _search(index, wanted, max(1, min(limit, MAX_HITS)))
        except ValueError as error:  # what tantivy raises, whatever is wrong
            log.error("a search failed: %s", error)
            self._metrics.search_failures.inc()
            return UNAVAILABLE

    def _index(self, artefact: Artefact) -> SearchIndex | None:
        name = artefact.artefact_id
        opened = self._opened  # another thread may put a new one in its place at any time
        if name in opened:
            return opened[name]
        with self._opening:
            if name not in self._opened:
                # Put in place whole: other threads look into it without the lock.
                kept = dict(list(self._opened.items())[1 - KEPT_INDEXES :])
                self._opened = {**kept, name: self._open(artefact)}
            return self._opened[name]

    def _open(self, artefact: Artefact) -> SearchIndex | None:
        if artefact.search_folder is None:
            log.warning("the artefact %s has no search index: search finds nothing", artefact.artefact_id)
            return None
        try:
            return open_index(artefact.search_folder)
        except DataError as error:
            log.error("search finds nothing: %s", error)
            self._metrics.search_failures.inc()
            return None


@dataclass(frozen=True)
class _Word:
    text: str
    weight: float
    """Its share of the query: rare words say more."""
    found: int
    """Items, at least, that have it."""
    common: bool
    last: bool

    @property
    def is_year(self) -> bool:
        return len(self.text) == 4 and self.text.isascii() and self.text.isdigit() and int(self.text) in YEARS


def _search(index: SearchIndex, texts: list[str], limit: int) -> Hits:
    asked = _Asked(index, texts)
    numbers, scores = _run(index, asked.complete(), limit)
    if len(numbers) >= min(ENOUGH, limit):
        return Hits(numbers, scores)
    for finding in (asked.telling, asked.needed):
        numbers, scores = _run(index, asked.partial(finding), limit)
        if len(numbers):
            break
    good = scores >= FLOOR * scores.max(initial=0)
    return Hits(numbers[good], scores[good])


def _run(index: SearchIndex, query: Any, limit: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    hits = index.searcher.search(query, limit, count=False, weight_by_field=PRIOR).hits
    numbers = np.fromiter((address.doc for _, address in hits), np.int32, len(hits))
    scores = np.fromiter((score for score, _ in hits), np.float32, len(hits))
    return numbers, scores / np.float32(SHORT_TITLE)


class _Asked:
    """The queries that stand for some words."""

    def __init__(self, index: SearchIndex, texts: list[str]) -> None:
        self._schema = index.schema
        self._searcher = index.searcher
        self._whole = " ".join(texts)
        self._words = _weighed(self._searcher, texts)
        needed = [word for word in self._words if not word.is_year] or self._words
        doubtful = [word for word in needed if word.found < RARE and len(word.text) in FUZZY_LENGTHS][:MAX_MISSPELT]
        self._doubtful = frozenset(doubtful)
        self.needed = frozenset(needed)
        """Words that a complete match has; a year is one of them only where there is nothing else."""
        self.telling = frozenset(word for word in needed if not word.common)
        """Those of them that few items have."""

    def complete(self) -> Any:
        """Every word as it was typed, the last one also as a prefix; a year beside other words only lifts."""
        parts = [
            (Occur.Must if word in self.needed else Occur.Should, self._share(word, self._typed(word)))
            for word in self._words
        ]
        every = (Occur.Must, Query.const_score_query(Query.all_query(), COMPLETE_SHARE))
        return Query.boolean_query([*parts, every, *self._wholly()])

    def partial(self, finding: frozenset[_Word]) -> Any:
        """Any word of `finding`, also misspelt; the others lift, and a match of every word as it was typed does."""
        must: list[Any] = []
        lifting: list[Any] = []
        for word in self._words:
            ways = self._typed(word) + (self._misspelt(word) if word in self._doubtful else [])
            (must if word in finding else lifting).append((Occur.Should, self._share(word, ways)))
        every = [(Occur.Must, Query.disjunction_max_query(self._typed(word))) for word in self.needed]
        complete = Query.const_score_query(Query.boolean_query(every), COMPLETE_SHARE)
        parts = [(Occur.Must, Query.boolean_query(must)), *lifting, (Occur.Should, complete)]
        return Query.boolean_query([*parts, *self._wholly()])

    def _share(self, word: _Word, ways: list[Any]) -> Any:
        return Query.boost_query(Query.disjunction_max_query(ways), WORDS_SHARE * word.weight)

    def _typed(self, word: _Word) -> list[Any]:
        ways = [
            Query.const_score_query(Query.term_query(self._schema, field, word.text), strength)
            for field, strength in FIELD_STRENGTH.items()
        ]
        if word.is_year:
            ways.append(Query.const_score_query(Query.term_query(self._schema, YEAR, word.text), YEAR_STRENGTH))
        if word.last and not word.common:
            fields = FIELD_STRENGTH if len(word.text) >= MIN_PREFIX else ("title", "cast")
            ways += [self._near(field, word.text, 0, PREFIX, prefix=True) for field in fields]
        return ways

    def _misspelt(self, word: _Word) -> list[Any]:
        ways = []
        for field in FIELD_STRENGTH:
            ways.append(self._near(field, word.text, 1, MISSPELT))
            if len(word.text) > ONE_EDIT_UP_TO:
                ways.append(self._near(field, word.text, 2, MISSPELT_TWICE))
            if word.last:
                ways.append(self._near(field, word.text, 1, MISSPELT_PREFIX, prefix=True))
        return ways + self._parted(word.text)

    def _parted(self, text: str) -> list[Any]:
        """`starwars` as the two words of a title that it is made of, if any are; the most frequent such pair."""
        count, cut = max(
            (min(self._in_titles(text[:cut]), self._in_titles(text[cut:])), cut) for cut in range(2, len(text) - 1)
        )
        if not count:
            return []
        both = [(Occur.Must, Query.term_query(self._schema, "title", part)) for part in (text[:cut], text[cut:])]
        return [Query.const_score_query(Query.boolean_query(both), MISSPELT)]

    def _in_titles(self, text: str) -> int:
        return int(self._searcher.doc_freq("title", text))

    def _near(self, field: str, text: str, edits: int, strength: float, prefix: bool = False) -> Any:
        near = Query.fuzzy_term_query(self._schema, field, text, distance=edits, prefix=prefix)
        return Query.const_score_query(near, FIELD_STRENGTH[field] * strength)

    def _wholly(self) -> list[tuple[Any, Any]]:
        wholes = {self._whole: WHOLE_SHARE} | {f"{word} {self._whole}": WITHOUT_ARTICLE for word in ARTICLES}
        ways = [
            Query.const_score_query(Query.term_query(self._schema, WHOLE, whole), share)
            for whole, share in wholes.items()
        ]
        if self.telling and len(self._whole) >= MIN_PREFIX:
            begun = Query.fuzzy_term_query(self._schema, WHOLE, self._whole, distance=0, prefix=True)
            ways.append(Query.const_score_query(begun, BEGUN))
        return [(Occur.Should, Query.disjunction_max_query(ways))]


def _weighed(searcher: Any, texts: list[str]) -> list[_Word]:
    """The different words among `texts`, each with its weight: inverse document frequency, in sum 1."""
    items, last = searcher.num_docs, texts[-1]
    found = {text: max(searcher.doc_freq(field, text) for field in FIELDS) for text in texts}
    rarity = {text: math.log1p(items / (count + 1)) for text, count in found.items()}
    total, common = sum(rarity.values()), max(COMMON_SHARE * items, COMMON)
    return [_Word(text, rarity[text] / total, count, count > common, text == last) for text, count in found.items()]
