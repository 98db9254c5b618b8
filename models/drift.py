"""How far a distribution has moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SMOOTHING = 0.5
"""Added to every count, so that an empty bin is a large change and not an infinite one."""


def psi(before: Sequence[int], after: Sequence[int]) -> float:
    """Population stability index of two histograms with the same bins: Σ (q - p) · ln(q / p).

    Siddiqi, "Credit Risk Scorecards", 2006: below 0.1 nothing has happened, above 0.25 much has.
    """
    p, q = (np.asarray(counts, np.float64) + SMOOTHING for counts in (before, after))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())
