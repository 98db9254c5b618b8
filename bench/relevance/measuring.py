"""From ranked lists to figures: what each system is worth, how sure that is, and for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.relevance.splits import HISTORY, WATCHED, Split, buckets, only, rows_of
from models.metrics import (
    KS,
    bootstrap_means,
    calibration_error,
    coverage,
    gini,
    hits_at,
    interval,
    intra_list_diversity,
    mrr_at_k,
    ndcg_at_k,
    novelty,
    recall_at_k,
)
from models.types import Floats, Ints

LIST_K = 20
"""Length of the lists whose variety is measured."""
SHOWN = ("recall@20", "ndcg@20")
"""The measures of segments, of tables and of progress."""
Values = NDArray[np.float64]
Intervals = Mapping[str, Mapping[str, tuple[float, float]]]
"""Low and high by system, then by measure."""


@dataclass
class System:
    """A recommender's lists (T, TOP) for the measured users, one array a seed, best first, -1 padded."""

    name: str
    ranked: list[Ints] = field(default_factory=list)


@dataclass(frozen=True)
class Measured:
    """Figures of systems on one split. genres (n, G)."""

    split: Split
    genres: Floats
    systems: Sequence[System]

    @cached_property
    def accuracy(self) -> dict[str, dict[str, Values]]:
        """By system and measure: (seeds, T), one value a user."""
        return {
            system.name: _stacked([accuracy(ranked, self.split) for ranked in system.ranked]) for system in self.systems
        }

    @cached_property
    def variety(self) -> dict[str, dict[str, Values]]:
        """By system and measure: (seeds,)."""
        return {
            system.name: _stacked([variety(ranked, self.split, self.genres) for ranked in system.ranked])
            for system in self.systems
        }

    @cached_property
    def segments(self) -> dict[str, tuple[int, dict[str, dict[str, Values]]]]:
        """By segment: the number of users; then by system and measure (seeds,) means over them.

        Users by the length of their history; items by their training positives, where only held-out items of the
        segment count and users without any are left out.
        """
        found = {}
        past = self.split.training
        lengths = np.diff(past.offsets)[self.split.measured]
        for name, users in buckets(lengths, HISTORY).items():
            values = {
                system: {measure: by[measure][:, users].mean(1) for measure in SHOWN}
                for system, by in self.accuracy.items()
            }
            found[f"history {name}"] = int(users.sum()), values
        for name, items in buckets(past.counts, WATCHED).items():
            relevant = only(self.split.relevant, items)
            having = np.flatnonzero(np.diff(relevant[0]))
            if len(having):
                part = replace(self.split, measured=self.split.measured[having], relevant=rows_of(relevant, having))
                values = {}
                for system in self.systems:
                    by = _stacked([accuracy(ranked[having], part) for ranked in system.ranked])
                    values[system.name] = {measure: by[measure].mean(1) for measure in SHOWN}
                found[f"items {name}"] = len(having), values
        return found

    def intervals(self, reference: str, resamples: int, seed: int) -> tuple[Intervals, Intervals]:
        """95% intervals over users of every system's mean, and of its difference to the reference's, paired.

        A user's value is the mean over the seeds.
        """
        names = [system.name for system in self.systems]
        means: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in names}
        differences: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in names}
        measures = list(self.accuracy[reference])
        values = np.stack([self.accuracy[name][measure].mean(0) for measure in measures for name in names])
        drawn = bootstrap_means(values, resamples, seed).reshape(resamples, len(measures), len(names))
        for row, measure in enumerate(measures):
            base = drawn[:, row, names.index(reference)]
            for column, name in enumerate(names):
                means[name][measure] = interval(drawn[:, row, column])
                differences[name][measure] = interval(drawn[:, row, column] - base)
        return means, differences


def accuracy(ranked: Ints, split: Split) -> dict[str, Values]:
    """(T,) recall, NDCG and MRR at each of KS, of every user."""
    counts = np.diff(split.relevant[0])
    hits = hits_at(ranked, split.relevant)
    out = {f"recall@{k}": recall_at_k(hits, counts, k) for k in KS}
    out |= {f"ndcg@{k}": ndcg_at_k(hits, counts, k) for k in KS}
    return out | {f"mrr@{k}": mrr_at_k(hits, k) for k in KS}


def variety(ranked: Ints, split: Split, genres: Floats) -> dict[str, float]:
    """Means over the users for whom a measure is defined, of the first LIST_K items."""
    past = split.training
    return {
        "coverage": coverage(ranked, LIST_K, past.n),
        "gini": gini(ranked, LIST_K, past.n),
        "novelty": _mean(novelty(ranked, LIST_K, past.counts, past.users)),
        "diversity": _mean(intra_list_diversity(ranked, LIST_K, genres)),
        "calibration error": _mean(calibration_error(ranked, LIST_K, past.seen(split.measured), genres)),
    }


def _mean(values: Values) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0


def _stacked(seeds: Sequence[Mapping[str, Values | float]]) -> dict[str, Values]:
    return {measure: np.stack([np.asarray(one[measure]) for one in seeds]) for measure in seeds[0]}
