"""Whether a new model may take the place of the one that serves: both have ranked the same held-out users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration import MIN_SHOWN, Shown, calibration_error
from models.evaluation import Cases
from models.metrics import coverage, hits_at, mrr_at_k, ndcg_at_k, recall_at_k
from models.types import Bools, Ints, Longs

K = 20
EVERYBODY = "all users"
CALIBRATION = "calibration error"
NEW_USERS = 5
"""A user with at most so many watches counts as new."""
NEW_ITEMS = 20
"""An item with fewer positives counts as new."""
MOST_VALUES = 12
"""Regions and age bands that are judged, those of the most users first."""
DRAWS = 200
_Z = 1.96


@dataclass(frozen=True)
class Finding:
    """One measure in one segment. low, high: 95% interval of challenger - champion over users, paired.

    users: of calibration, impressions.
    """

    measure: str
    segment: str
    users: int
    champion: float
    challenger: float
    low: float
    high: float
    passed: bool

    @property
    def text(self) -> str:
        counted = "impressions" if self.measure == CALIBRATION else "users"
        return (
            f"{self.measure} of {self.segment}: {self.challenger:.4f} instead of {self.champion:.4f} "
            f"({self.low:+.4f} to {self.high:+.4f}, {self.users:,} {counted})"
        )


@dataclass(frozen=True)
class Held:
    """A hold-out and what a model made of it.

    ranked (B, L): item_no, best first, -1 padded; cases: the B users; positives (n,): of each item before the
    hold-out; shown: its impressions, None where the model's scores are no probabilities.
    """

    ranked: Ints
    cases: Cases
    positives: Longs
    shown: Shown | None = None


def compare(champion: Ints, challenger: Held, max_drop: float, tolerance: float, min_users: int) -> tuple[Finding, ...]:
    """Judge recall, NDCG and MRR at 20, overall and by segment, and the catalogue's coverage.

    A measure over all users fails where it fell by more than `max_drop` of what it was; in any segment of at least
    `min_users`, where it fell by more than `tolerance` and the interval of the difference holds no improvement.
    Coverage, which moves more, may fall by twice `max_drop`.
    champion: (B, L) as in Held, of the same users.
    """
    cases = challenger.cases
    found = []
    for segment, relevant in _segments(challenger):
        counts = np.diff(relevant[0])
        has = counts > 0
        users = int(has.sum())
        if segment != EVERYBODY and users < min_users:
            continue
        pair = [_measures(hits_at(ranked, relevant)[has], counts[has]) for ranked in (champion, challenger.ranked)]
        for measure in pair[0]:
            finding = _judged(measure, segment, pair[0][measure], pair[1][measure], tolerance)
            if segment == EVERYBODY and finding.challenger < (1 - max_drop) * finding.champion:
                finding = Finding(**{**finding.__dict__, "passed": False})
            found.append(finding)
    n = max(len(challenger.positives), int(max(champion.max(initial=0), challenger.ranked.max(initial=0))) + 1)
    before, after = (coverage(ranked, K, n) for ranked in (champion, challenger.ranked))
    worst = (1 - 2 * max_drop) * before
    found.append(
        Finding(f"coverage@{K}", EVERYBODY, len(cases), before, after, after - before, after - before, after >= worst)
    )
    return tuple(found)


def compare_calibration(champion: Shown, challenger: Shown, tolerance: float) -> tuple[Finding, ...]:
    """Judge how far probabilities are from what was watched, on the same impressions; nothing where those are few.

    Fails where the error grew by more than `tolerance` of what was watched, and 95% of DRAWS bootstrap samples of the
    impressions say that it grew.
    """
    if len(champion) < MIN_SHOWN or len(champion) != len(challenger):
        return ()
    before, after = calibration_error(champion), calibration_error(challenger)
    rng = np.random.default_rng(len(champion))
    draws = (rng.integers(0, len(champion), len(champion)) for _ in range(DRAWS))
    grown = [calibration_error(challenger, rows) - calibration_error(champion, rows) for rows in draws]
    low, high = (float(np.quantile(grown, share)) for share in (0.025, 0.975))
    watched = float(np.average(champion.labels, weights=champion.weights))
    passed = low <= 0 or after - before <= tolerance * watched
    return (Finding(CALIBRATION, "all impressions", len(champion), before, after, low, high, passed),)


def refused(findings: Sequence[Finding]) -> list[str]:
    """What did not pass, in words."""
    return [finding.text for finding in findings if not finding.passed]


def _measures(hits: Bools, counts: Longs) -> Mapping[str, NDArray[np.float64]]:
    return {
        f"recall@{K}": recall_at_k(hits, counts, K),
        f"ndcg@{K}": ndcg_at_k(hits, counts, K),
        f"mrr@{K}": mrr_at_k(hits, K),
    }


def _judged(
    measure: str, segment: str, old: NDArray[np.float64], new: NDArray[np.float64], tolerance: float
) -> Finding:
    users = len(old)
    mean, before = float((new - old).mean()) if users else 0.0, float(old.mean()) if users else 0.0
    error = float((new - old).std(ddof=1)) / np.sqrt(users) if users > 1 else np.inf
    low, high = float(mean - _Z * error), float(mean + _Z * error)
    worse = high < 0 and mean < -tolerance * before
    return Finding(measure, segment, users, before, before + mean, low, high, not worse)


def _segments(held: Held) -> Iterator[tuple[str, tuple[Longs, Ints]]]:
    """Each segment with the relevant items that count in it; rows of users outside of it are empty."""
    cases = held.cases
    items = cases.relevant[1]
    everybody = np.ones(len(cases), bool)
    everything = np.ones(len(items), bool)
    yield EVERYBODY, cases.relevant
    yield f"users with at most {NEW_USERS} watches", _only(cases, cases.users.watches <= NEW_USERS, everything)
    known = np.zeros(max(int(items.max(initial=0)) + 1, len(held.positives)), np.int64)
    known[: len(held.positives)] = held.positives
    yield f"items with fewer than {NEW_ITEMS} positives", _only(cases, everybody, known[items] < NEW_ITEMS)
    for field in ("region", "age_band"):
        values = np.array([value or "" for value in cases.users.profile[field]], dtype=object)
        names, counts = np.unique(values[values != ""].astype(str), return_counts=True)
        for name in names[np.argsort(-counts, kind="stable")][:MOST_VALUES]:
            yield f"{field} {name}", _only(cases, values == name, everything)


def _only(cases: Cases, users: Bools, wanted: Bools) -> tuple[Longs, Ints]:
    offsets, items = cases.relevant
    kept = wanted & np.repeat(users, np.diff(offsets))
    before = np.concatenate([[0], np.cumsum(kept)])
    return before[offsets].astype(np.int64), items[kept]
