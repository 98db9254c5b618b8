"""Whether the context term is used, and which: validation decides, on later watches in the contexts they came in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.batches import Examples, ExampleSource, Survey, decode, positives
from models.calibration import as_they_stood, contexts_of
from models.context import (
    GENRES,
    MAIN_GENRE,
    ContextTerm,
    Effects,
    Moments,
    answered,
    effects,
    moments,
    read_occasions,
    set_context,
)
from models.measuring import Trial
from models.metrics import ndcg_at_k
from models.ranker import Ranker
from models.types import LOGIT_GRID, Floats, Ints, Longs

TERMS = tuple(ContextTerm(features, strength) for features in (MAIN_GENRE, GENRES) for strength in (0.25, 0.5, 0.75, 1))
MAX_WATCHED = 2_000
"""Watches that judge, at most: each is a list of its own."""
SURE = 2.0
"""Standard errors, over users, that are taken off a term's gain: in data without habits it is better by chance, and a
strong term more so than a weak one."""
SHOWN = 20
Values = NDArray[np.float64]


class Choice(NamedTuple):
    """term: None where none is used. judged: by each term, and "without", the mean log-likelihood of what was watched
    among its user's list, and NDCG@20.
    """

    term: ContextTerm | None
    judged: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Habits:
    """What one pass over the examples tells of contexts, whatever the term."""

    watched: Moments
    shown: Moments

    @classmethod
    def read(
        cls, source: ExampleSource, splits: Collection[str], survey: Survey, features: Floats, ranker: Ranker
    ) -> Habits:
        """features (n, F): see context.context_features."""
        return cls(*(moments(part, features, ranker) for part in read_occasions(source, splits, survey)))

    def effects(self, ranker: Ranker, term: ContextTerm) -> Effects:
        return effects(self.watched, self.shown, ranker, term)

    def give(self, ranker: Ranker, term: ContextTerm) -> None:
        """Set the context term of the ranker."""
        set_context(ranker, self.effects(ranker, term))


def choose_context(trial: Trial, source: ExampleSource, features: Floats, habits: Habits) -> Choice:
    """Compare the stored lists with and without each term, on what split valid says was watched.

    Each watch is looked for in the list of its user as of that moment, with what its context adds. The likelihood
    decides, for it tells far smaller effects from chance than a measure that sees but the first 20 places.
    """
    tried = {str(term): habits.effects(trial.model.ranker, term) for term in TERMS}
    owners = [np.zeros(0, np.int64)]
    found: dict[str, list[Values]] = {name: [np.zeros((2, 0))] for name in ("without", *tried)}
    for user, watched in _watched(trial, source):
        lists = trial.scorer.score(*as_they_stood(trial, watched))
        logits = lists.logit_q / np.float64(LOGIT_GRID)
        owners.append(user)
        found["without"].append(_judged(lists.item_no, logits, watched.item_no))
        for name, effect in tried.items():
            added = np.einsum("bf,bcf->bc", effect.rows(*contexts_of(watched)), features[lists.item_no])
            found[name].append(_judged(lists.item_no, logits + added, watched.item_no))
    owner = np.concatenate(owners)
    whole = {name: np.concatenate(parts, axis=1) for name, parts in found.items()}
    best, most = None, 0.0
    for term in TERMS:
        gain, error = by_user(whole[str(term)][0] - whole["without"][0], owner)
        if gain - SURE * error > most:
            best, most = term, gain - SURE * error
    return Choice(best, {name: (_mean(values[0]), _mean(values[1])) for name, values in whole.items()})


def _watched(trial: Trial, source: ExampleSource) -> Iterator[tuple[Longs, Examples]]:
    """The first MAX_WATCHED watches of split valid with numbers of their users, a batch of users at a time.

    Impressions that led to a watch stand for watches where there are any: they tell when and where it was chosen.
    """
    number: dict[str, int] = {}
    left, size = MAX_WATCHED, trial.settings.retrieval.batch_users
    told = any(len(answered(batch)) for batch in source.batches(["valid"]))
    for batch in source.batches(["valid"]):
        liked = (answered if told else positives)(batch).slice(0, left)
        left -= len(liked)
        user = np.array(
            [number.setdefault(name, len(number)) for name in liked.column("user_id").to_pylist()], np.int64
        )
        watched = decode(liked, trial.model.vocabularies, trial.settings.training.history)
        for start in range(0, len(watched), size):
            rows = slice(start, start + size)
            yield user[rows], watched.take(rows)


def _judged(item_no: Ints, logits: Values, watched: Longs) -> Values:
    """(2, B) of one watched item each in the lists item_no (B, L): log-likelihood, 0 where it is on none; NDCG@20."""
    there = np.where(item_no < 0, -np.inf, logits)
    top = np.maximum(there.max(1), -1e9)
    total = top + np.log(np.maximum(np.exp(there - top[:, None]).sum(1), 1e-300))
    hit = item_no == watched[:, None]
    likelihood = np.where(hit.any(1), np.where(hit, there, 0).sum(1) - total, 0)
    order = np.argsort(-there, axis=1, kind="stable")[:, :SHOWN]
    hits = np.take_along_axis(hit, order, 1)
    return np.stack([likelihood, ndcg_at_k(hits, np.ones(len(hits), np.int64), hits.shape[1])])


def by_user(gains: Values, owner: Longs) -> tuple[float, float]:
    """Mean over users of their mean gain, and its standard error; gains and owner (m,)."""
    if not len(gains):
        return 0.0, 0.0
    counts = np.bincount(owner)
    means = np.bincount(owner, gains)[counts > 0] / counts[counts > 0]
    return float(means.mean()), float(means.std() / np.sqrt(len(means)))


def _mean(values: Values) -> float:
    return float(values.mean()) if len(values) else 0.0
