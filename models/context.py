"""The context term c(context)·v(i): what people watch on some pages and at some times more than otherwise.

It is a linear discriminant (Fisher, 1936; shrunk towards nothing as in Friedman, 1989) between contexts, on deviations
from each user's own mean: what a user likes, and when they watch at all, falls out of it, so that evening people's
taste is not taken for the evening's. Of what was shown the same is worked out and taken off, so that what the service
puts before people in a context does not come back as their wish. Hours are told by UTC and mean another time of day in
each region, so the dayparts have rows by region. No gradient steps: it costs a pass over the examples.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from models import content
from models.batches import ExampleSource, Survey, Vocabularies, numbers, positives
from models.ranker import CONTEXT_DIM, DAYPARTS, WEEKDAYS, Ranker
from models.types import Floats, Longs

KEPT = 1_000_000
"""Positives read, about; of more, those of a hashed share of the users. The term has some hundred numbers to learn."""
ANSWERED = 0.5
"""Where so large a share of the positives answered an impression, those impressions are what is learnt from: a page was
chosen from when it was shown, and a watch is told of when it ends."""
TOGETHER = 1 << 16
"""Occasions worked on at once, about."""
RIDGE = 300.0
"""Occasions without any effect that are put to those of each context."""
FLOOR = 0.01
"""Added to the variance of every feature, so that two which always come together share what they say."""
GENRES, MAIN_GENRE = "genres", "main genre"
Wide = NDArray[np.float64]


@dataclass(frozen=True)
class ContextTerm:
    """features: GENRES or MAIN_GENRE, what v(i) is made of; strength: what share of the effects it has.

    The effects are those on all that a user might watch. What stands high on a list appeals to them at any time, so
    that contexts move it less.
    """

    features: str
    strength: float

    def __str__(self) -> str:
        return f"{self.features}, strength {self.strength:g}"

    def columns(self, width: int) -> slice:
        """Of the `width` columns of context_features."""
        return slice(0, width // 2) if self.features == GENRES else slice(width // 2, width)


@dataclass(frozen=True)
class Occasions:
    """m times that items were watched or shown, those of a user together.

    user, item_no, page, daypart, weekday and region (m,), numbers as in batches.numbers; weight (m,): for how many
    each stands.
    """

    user: Longs
    item_no: Longs
    page: Longs
    daypart: Longs
    weekday: Longs
    region: Longs
    weight: Floats

    def __len__(self) -> int:
        return len(self.user)

    def parts(self) -> Iterator[Occasions]:
        """Some whole users at a time."""
        starts = np.flatnonzero(np.diff(self.user, prepend=-1))
        cuts = np.append(starts[np.flatnonzero(np.diff(starts // TOGETHER, prepend=-1))], len(self))
        for start, stop in pairwise(cuts.tolist()):
            yield Occasions(*(getattr(self, field.name)[start:stop] for field in fields(self)))


@dataclass(frozen=True)
class Effects:
    """What each context adds to the log-odds of each feature (F) of an item; 0 on average over all occasions.

    page (P, F), row 0 unknown; daypart (R, 4, F) by region, row 0 for unknown regions, where it is as in all regions
    together; weekday (7, F).
    """

    page: Wide
    daypart: Wide
    weekday: Wide

    def rows(self, page: Longs, daypart: Longs, weekday: Longs, region: Longs) -> Wide:
        """(B, F) of B contexts."""
        found: Wide = self.page[page] + self.daypart[region, daypart] + self.weekday[weekday]
        return found


def context_features(items: pa.Table, genres: Sequence[str]) -> Floats:
    """(n, F) what v(i) is made of: an item's genres, each row of length 1, then the genre named first, the main one."""
    matrix = content.genre_matrix(items, genres)
    number = {name: place for place, name in enumerate(genres)}
    first = [number.get(named[0], -1) if named else -1 for named in items["genres"].to_pylist()]
    main = np.zeros_like(matrix)
    there = np.flatnonzero(np.array(first, np.int64) >= 0)
    main[there, np.array(first, np.int64)[there]] = 1
    length = np.sqrt(matrix.sum(1, keepdims=True))
    return np.concatenate([matrix / np.maximum(length, 1), main], axis=1)


def read_occasions(
    source: ExampleSource, splits: Collection[str], survey: Survey, kept: int = KEPT
) -> tuple[Occasions, Occasions]:
    """What was watched, see ANSWERED, and what was shown, in `splits`; of the same users where not all are kept."""
    share = min(1.0, kept / max(survey.positive_examples, 1)) * 2**32
    number: dict[str, int] = {}
    kinds: tuple[list[Occasions], ...] = ([], [], [])
    for batch in source.batches(splits):
        parts = (positives(batch), answered(batch), batch.filter(pc.equal(batch.column("origin"), "impression")))
        for kind, part in zip(kinds, parts, strict=True):
            kind.append(_occasions(part, survey.vocabularies, number, share))
    liked, taken, shown = (_joined(kind) for kind in kinds)
    return taken if len(taken) >= ANSWERED * len(liked) else liked, shown


def answered(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The impressions that led to a watch."""
    shown = pc.equal(batch.column("origin"), "impression")
    return batch.filter(pc.and_(shown, pc.equal(batch.column("label"), 1)))


def _occasions(batch: pa.RecordBatch, vocabularies: Vocabularies, number: dict[str, int], share: float) -> Occasions:
    coded = pc.dictionary_encode(batch.column("user_id"))
    own = [
        number.setdefault(name, len(number)) if zlib.crc32(name.encode()) < share else -1
        for name in coded.dictionary.to_pylist()
    ]
    user = np.array(own, np.int64)[coded.indices.to_numpy()]

    def column(name: str) -> Longs:
        return np.asarray(pc.fill_null(batch.column(name), 0).to_numpy(zero_copy_only=False), np.int64)

    found = Occasions(
        user,
        column("item_no"),
        numbers(batch.column("page").to_pylist(), vocabularies["page"]),
        column("daypart"),
        column("weekday"),
        numbers(batch.column("region").to_pylist(), vocabularies["region"]),
        pc.fill_null(batch.column("weight"), 1).to_numpy(zero_copy_only=False).astype(np.float32),
    )
    return Occasions(*(getattr(found, field.name)[user >= 0] for field in fields(found)))


def _joined(parts: Sequence[Occasions]) -> Occasions:
    whole = [np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Occasions)]
    order = np.argsort(whole[0], kind="stable")
    return Occasions(*(array[order] for array in whole))


@dataclass(frozen=True)
class Moments:
    """Sums over occasions of the deviations from their user's mean, of contexts (K) and features (F).

    contexts (K, K), features (F, F), both (K, F); often (K,): the weight of each context; freedom: that of all, less
    one a user.
    """

    contexts: Wide
    features: Wide
    both: Wide
    often: Wide
    freedom: float


def moments(occasions: Occasions, features: Floats, ranker: Ranker) -> Moments:
    """features (n, F). Weights that differ say less than as many equal ones: they are put to their effective number
    (Kish, 1965), by which the ridge then weighs.
    """
    weights = occasions.weight.astype(np.float64)
    unequal = float((weights**2).sum()) / max(float(weights.sum()), 1e-9)
    columns, width = _columns(ranker)[-1], features.shape[1]
    contexts, both = np.zeros((columns, columns)), np.zeros((columns, width))
    square, often, freedom = np.zeros((width, width)), np.zeros(columns), 0.0
    for part in occasions.parts():
        marks, own = _marks(part, ranker), features[part.item_no].astype(np.float64)
        weight = part.weight.astype(np.float64)[:, None] / unequal
        often += (marks * weight).sum(0)
        starts = np.flatnonzero(np.diff(part.user, prepend=-1))
        counts, total = np.diff(np.append(starts, len(part))), np.add.reduceat(weight, starts)
        marks -= np.repeat(np.add.reduceat(marks * weight, starts) / total, counts, axis=0)
        own -= np.repeat(np.add.reduceat(own * weight, starts) / total, counts, axis=0)
        contexts += (marks * weight).T @ marks
        both += (marks * weight).T @ own
        square += (own * weight).T @ own
        freedom += float(total.sum()) - float((np.add.reduceat(weight**2, starts) / total).sum())
    return Moments(contexts, square, both, often, freedom)


def effects(watched: Moments, shown: Moments, ranker: Ranker, term: ContextTerm) -> Effects:
    """How what is watched differs between contexts, less how what is shown does.

    A region's dayparts are fitted as what they differ by from those of all regions, so that a small region's are
    those of all.
    """
    table = term.strength * (_discriminant(watched, term) - _discriminant(shown, term))
    page, daypart, weekday, regions, _ = _columns(ranker)
    for start, stop in ((page, daypart), (daypart, weekday), (weekday, regions)):
        often = watched.often[start:stop]
        if often.any():
            table[start:stop][often > 0] -= often @ table[start:stop] / often.sum()
    whole = table[daypart:weekday]
    own = table[regions:].reshape(-1, DAYPARTS, table.shape[1])
    return Effects(table[page:daypart], np.concatenate([whole[None], whole + own]), table[weekday:regions])


def _discriminant(found: Moments, term: ContextTerm) -> Wide:
    """(K, F), zeros where no user has two occasions and in the columns that the term does not read."""
    table = np.zeros_like(found.both)
    if found.freedom > 0:
        of = term.columns(found.both.shape[1])
        means = np.linalg.solve(found.contexts + RIDGE * np.eye(len(found.contexts)), found.both[:, of])
        square = found.features[of, of]
        table[:, of] = np.linalg.solve(square / found.freedom + FLOOR * np.eye(len(square)), means.T).T
    return table


def _columns(ranker: Ranker) -> tuple[int, int, int, int, int]:
    """Where page, daypart, weekday, and daypart by known region begin among K columns, and K."""
    pages, regions = len(ranker.page), len(ranker.daypart) - 1
    return 0, pages, pages + DAYPARTS, pages + DAYPARTS + WEEKDAYS, pages + DAYPARTS * (1 + regions) + WEEKDAYS


def _marks(part: Occasions, ranker: Ranker) -> Wide:
    """(m, K) ones at what the context of each occasion is."""
    page, daypart, weekday, regions, end = _columns(ranker)
    marks, rows = np.zeros((len(part), end)), np.arange(len(part))
    marks[rows, page + part.page] = 1
    marks[rows, daypart + part.daypart] = 1
    marks[rows, weekday + part.weekday] = 1
    known = np.flatnonzero(part.region > 0)
    marks[known, regions + (part.region[known] - 1) * DAYPARTS + part.daypart[known]] = 1
    return marks


def set_context(ranker: Ranker, found: Effects) -> None:
    """Give the ranker the effects as c(context) and v(i), the nearest that CONTEXT_DIM numbers can say."""
    parts = [found.page, found.daypart.reshape(-1, found.page.shape[1]), found.weekday]
    left, size, right = np.linalg.svd(np.concatenate(parts), full_matrices=False)
    # A singular vector's sign is free: its largest number is made positive.
    sign = np.sign(right[np.arange(len(right)), np.abs(right).argmax(1)])
    width = min(CONTEXT_DIM, len(size))
    rows, item = np.zeros((len(left), CONTEXT_DIM)), np.zeros((CONTEXT_DIM, right.shape[1]))
    rows[:, :width] = (left * sign * np.sqrt(size))[:, :width]
    item[:width] = (right * sign[:, None] * np.sqrt(size)[:, None])[:width]
    ends = np.cumsum([len(part) for part in parts])[:-1]
    tables = (ranker.page, ranker.daypart, ranker.weekday)
    for table, values in zip((*tables, ranker.context_item), (*np.split(rows, ends), item), strict=True):
        table.copy_(torch.from_numpy(values).reshape(table.shape))
