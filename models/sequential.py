"""Differences of rates between two groups of users, with intervals that hold at all times at once.

Whoever looks every hour and stops at the first difference is misled by intervals that were made for one look. These
are Robbins' normal mixture ("Statistical methods related to the law of the iterated logarithm", 1970; as a confidence
sequence: Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
2021), for estimates whose errors behave as a Brownian motion of the information gathered, as those of growing samples
do (Jennison and Turnbull, "Group Sequential Methods", 2000, chapter 11). They are asymptotic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Moments:
    """Of n users with x (impressions, say) and y (clicks): sums of both, of their squares and of their product."""

    n: int
    x: float
    y: float
    xx: float
    yy: float
    xy: float

    @property
    def rate(self) -> float:
        """Σy / Σx; 0 without any x."""
        return self.y / self.x if self.x else 0.0

    def log_variance(self) -> float:
        """Of the logarithm of the rate, users being what is drawn (the delta method); infinite where it is unknown."""
        if self.n < 2 or self.x <= 0 or self.y <= 0:
            return math.inf
        residual = self.yy - 2 * self.rate * self.xy + self.rate**2 * self.xx
        return max(residual, 0.0) * self.n / (self.n - 1) / self.y**2


@dataclass(frozen=True)
class Change:
    """How much higher one rate is than another, as a share of it (0.1: by a tenth), with its interval."""

    value: float
    low: float
    high: float
    rate: float
    other: float


def change(group: Moments, other: Moments, alpha: float, sharp_at: float) -> Change:
    """Of the rate of `group` from that of `other`.

    The interval holds the true change at all looks together with a probability of 1 - alpha. It is narrowest for its
    purpose once its error is such that a change of `sharp_at` would just be told.
    """
    variance = group.log_variance() + other.log_variance()
    if not math.isfinite(variance):
        return Change(math.nan, -1.0, math.inf, group.rate, other.rate)
    value = math.log(group.rate / other.rate)
    half = half_width(variance, alpha, math.log1p(sharp_at))
    return Change(
        math.expm1(value), math.expm1(value - half), math.expm1(min(value + half, 700.0)), group.rate, other.rate
    )


def half_width(variance: float, alpha: float, sharp_at: float) -> float:
    """Of the interval of an estimate with this variance; 0 for one without error."""
    if variance <= 0:
        return 0.0
    information = 1 / variance
    # At the information by which a difference of sharp_at is 3 standard errors.
    tuned = (3 / sharp_at) ** 2 / (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1))
    return math.sqrt((information + tuned) * math.log((information + tuned) / (tuned * alpha**2))) / information
