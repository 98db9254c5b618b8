"""What another policy would have earned, from what this one showed and the propensities that were logged with it.

A log has, for each place that was filled at random: the item's reward, the probability (propensity) with which the
policy that was in force put it there, and the probability with which the other one, the target, would have. Three
estimators of the target's mean reward at these places:

- `ips`, inverse propensity scoring (Horvitz & Thompson 1952): the mean of weight × reward, where weight = target /
  propensity. Unbiased where every item that the target may show had a propensity above 0.
- `snips`, self-normalised (Swaminathan & Joachims 2015): the weighted mean of rewards. Its bias is of order 1/n, its
  variance mostly smaller, and it stays within the range of rewards.
- `doubly_robust` (Dudík, Langford & Li 2011): the mean of a reward model's prediction for the target, corrected by the
  weighted error of its predictions for what was shown. Unbiased as ips is, whatever the model; the better the model,
  the narrower.

Each is a ratio of sums, and its interval is the normal one of the linearised ratio, over groups that are independent of
one another, such as users. It needs many groups, none of which dominates: with an `effective` size below some hundred,
trust none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
_Z = 1.959964
"""Half the width of a 95% interval of a normal variable, in standard deviations."""


class Estimate(NamedTuple):
    """Of the target's mean reward a place."""

    value: float
    low: float
    """Ends of the 95% interval."""
    high: float
    effective: float
    """Places that would say as much if all had one weight: (Σw)² / Σw² (Kish 1965)."""


@dataclass(frozen=True)
class Logged:
    """Arrays of length n ≥ 1, one entry a place whose item was drawn.

    Raises:
        ValueError: lengths that differ, a propensity outside of (0, 1], a target outside of [0, 1], a number that is
            none, or fewer than two groups.
    """

    reward: Floats
    propensity: Floats
    """Of the item on its place; the top of serving/exploration.py defines it for Topshelf's own log."""
    target: Floats
    """Probability with which the target policy shows the item on this place."""
    group: NDArray[Any] | None = None
    """What each belongs to; entries of one group may depend on each other. None: each is a group of its own."""

    def __post_init__(self) -> None:
        given = [self.reward, self.propensity, self.target, *([] if self.group is None else [self.group])]
        if len({np.shape(values) for values in given}) > 1 or np.ndim(self.reward) != 1:
            raise ValueError(f"a log's arrays have one length, got {[np.shape(values) for values in given]}")
        if not np.isfinite(self.reward).all():
            raise ValueError("a reward is not a finite number")
        if not ((self.propensity > 0) & (self.propensity <= 1)).all():
            raise ValueError("a propensity is not within (0, 1]: what had no chance to be shown was not drawn")
        if not ((self.target >= 0) & (self.target <= 1)).all():
            raise ValueError("a target's probability is not within [0, 1]")
        if len(self._sums(self.reward)) < 2:
            raise ValueError("an interval takes two groups at least")

    @property
    def weight(self) -> Floats:
        """(n,) target / propensity."""
        weight: Floats = self.target / self.propensity
        return weight

    def _sums(self, values: Floats) -> Floats:
        """(groups,)"""
        if self.group is None:
            return values
        return np.bincount(np.unique(self.group, return_inverse=True)[1], weights=values).astype(float)

    def ratio(self, above: Floats, below: Floats) -> Estimate:
        """Σ above / Σ below, with its interval; `above` and `below` are (n,).

        Raises:
            ValueError: `below` sums to 0: the target shows nothing of what was shown.
        """
        total = float(below.sum())
        if total == 0:
            raise ValueError("the target policy shows nothing of what was shown, so the log says nothing of it")
        value = float(above.sum()) / total
        residual = self._sums(above - value * below)
        count = len(residual)
        half = _Z * float(np.sqrt(count / (count - 1) * (residual**2).sum())) / total
        squares = float((self.weight**2).sum())
        effective = float(self.weight.sum()) ** 2 / squares if squares else 0.0
        return Estimate(value, value - half, value + half, effective)


def ips(log: Logged) -> Estimate:
    """Inverse propensity scoring: Horvitz & Thompson, "A generalization of sampling without replacement", 1952."""
    return log.ratio(log.weight * log.reward, np.ones(len(log.reward)))


def snips(log: Logged) -> Estimate:
    """Self-normalised: Swaminathan & Joachims, "The self-normalized estimator for counterfactual learning", 2015.

    Raises:
        ValueError: the target shows nothing of what was shown.
    """
    return log.ratio(log.weight * log.reward, log.weight)


def doubly_robust(log: Logged, predicted: Floats, expected: Floats) -> Estimate:
    """Doubly robust: Dudík, Langford & Li, "Doubly robust policy evaluation and learning", 2011.

    The reward model must not have been fitted to these very rewards, or the interval comes out too narrow.

    Args:
        predicted: (n,) the model's reward of the item that was shown.
        expected: (n,) its mean over the items that the target shows on this place.

    Raises:
        ValueError: lengths that differ from the log's.
    """
    if predicted.shape != log.reward.shape or expected.shape != log.reward.shape:
        raise ValueError(f"predictions are {log.reward.shape}, got {predicted.shape} and {expected.shape}")
    return log.ratio(expected + log.weight * (log.reward - predicted), np.ones(len(log.reward)))
