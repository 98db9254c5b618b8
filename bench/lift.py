"""How much more one group of users does than another, with intervals; users are what is drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.visitors import Outcome

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Rate = tuple[Floats, Floats]
"""(n,) numerators and (n,) denominators, an entry a user; the rate is the ratio of their sums, above 0."""
_Z = 1.959964
"""Half the width of a 95% interval of a normal variable, in standard deviations."""


@dataclass(frozen=True)
class Totals:
    """Of each user. Arrays of length n."""

    impressions: Floats
    clicks: Floats
    first_clicks: Floats
    """On titles that the user had not clicked before."""
    watches: Floats
    visits: Floats
    minutes: Floats
    """Watched."""

    def of(self, users: NDArray[np.bool_]) -> Totals:
        return Totals(
            self.impressions[users],
            self.clicks[users],
            self.first_clicks[users],
            self.watches[users],
            self.visits[users],
            self.minutes[users],
        )


class Lift(NamedTuple):
    value: float
    """Of the one group."""
    peer: float
    """Of the other."""
    ratio: float
    low: float
    """Ends of the ratio's 95% interval."""
    high: float


def totals(outcome: Outcome, users: int, since: int = 0, until: int | None = None) -> Totals:
    """What the visits that began within [since, until) (ms since 1970) came to, for users numbered 0 to `users` - 1."""
    within = (outcome.begin >= since) & (outcome.impressions > 0)
    if until is not None:
        within &= outcome.begin < until
    user = outcome.user[within]

    def total(values: Ints) -> Floats:
        return np.bincount(user, weights=values[within], minlength=users).astype(float)

    return Totals(
        total(outcome.impressions),
        total(outcome.clicks),
        total(outcome.first_clicks),
        total(outcome.watches),
        total(np.ones_like(outcome.user)),
        total(outcome.seconds) / 60,
    )


def between(ours: Rate, theirs: Rate) -> Lift:
    """The ratio of two groups' rates, whose users are different ones.

    Intervals are normal ones of the logarithm of the ratio, linearised (the delta method), with users as what is drawn
    at random: what one user does on many pages is one observation.
    """
    mine, others = _influence(ours), _influence(theirs)
    return _lift(ours, theirs, float(np.hypot(_error(mine), _error(others))))


def paired(ours: Rate, theirs: Rate) -> Lift:
    """The same for the same users, in the same order, in two worlds: a user is drawn with what they did in both."""
    return _lift(ours, theirs, _error(_influence(ours) - _influence(theirs)))


def _influence(rate: Rate) -> Floats:
    """(n,) what each user adds to the logarithm of the rate."""
    above, below = rate
    influence: Floats = above / above.sum() - below / below.sum()
    return influence


def _error(influence: Floats) -> float:
    count = len(influence)
    return float(np.sqrt(count / (count - 1) * (influence**2).sum()))


def _lift(ours: Rate, theirs: Rate, error: float) -> Lift:
    value, peer = (float(above.sum() / below.sum()) for above, below in (ours, theirs))
    factor = float(np.exp(_Z * error))
    return Lift(value, peer, value / peer, value / peer / factor, value / peer * factor)
