"""The demo world's users: tastes, habits, accounts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sim.catalogue import DAY_MS, LATENT, REGIONS, Floats, Ints, pick, unit

AGE_BANDS = ("Under 18", "18-24", "25-34", "35-44", "45-54", "55+")
_AGE_SHARES = np.array([0.10, 0.18, 0.25, 0.20, 0.15, 0.12])
GENDERS = ("female", "male", None)
_GENDER_SHARES = np.array([0.47, 0.47, 0.06])
TIERS = ("basic", "standard", "premium")
_TIER_SHARES = np.array([0.35, 0.45, 0.20])
_REGION_SHARES = np.array([0.34, 0.13, 0.13, 0.10, 0.11, 0.11, 0.08])
UTC_OFFSET_HOURS = np.array([-6, 0, 1, 1, -3, 5, 9])
"""Of each region, so that evenings come at different times."""
FAVOURITES = 3
HABITS = 4
"""Evening, morning, night and weekend people."""
_NEW_SHARE = 0.2


@dataclass(frozen=True)
class Audience:
    """Arrays of length n, one entry a user; times in ms since 1970."""

    vector: Floats
    """(n, LATENT): what the user likes."""
    favourites: Ints
    """(n, FAVOURITES) genres."""
    favourite_share: Floats
    """(n, FAVOURITES), rows sum to 1."""
    region: Ints
    maturity_limit: Ints
    habit: Ints
    sessions_per_day: Floats
    joined: Ints
    """When the account began."""
    table: pa.Table

    def __len__(self) -> int:
        return len(self.region)


def make_audience(rng: np.random.Generator, count: int, start: int, end: int, genres: Floats) -> Audience:
    """`count` users of a world that lasts from `start` to `end` (ms since 1970, end exclusive)."""
    age = pick(rng, _AGE_SHARES, count)
    gender = pick(rng, _GENDER_SHARES, count)
    region = pick(rng, _REGION_SHARES, count)
    # What an age band or a gender leans to, so that a new user's profile says something about their taste.
    lean = rng.normal(size=(len(AGE_BANDS), len(genres))) + 0.5 * rng.normal(size=(len(GENDERS), 1, len(genres)))
    liking = lean[gender, age] + 1.2 * rng.gumbel(size=(count, len(genres)))
    favourites = np.argsort(-liking, axis=1)[:, :FAVOURITES]
    share = rng.dirichlet((3.0, 1.5, 0.8), count)
    vector = unit((share[:, :, None] * genres[favourites]).sum(axis=1) + 0.45 * unit(rng.normal(size=(count, LATENT))))

    newcomer = rng.random(count) < _NEW_SHARE
    earlier = start - (rng.exponential(400.0, count) * DAY_MS).astype(np.int64)
    joined = np.where(newcomer, start + (rng.random(count) * (end - start)).astype(np.int64), earlier)
    child_limit, adult_limit = rng.integers(0, 3, count), np.where(rng.random(count) < 0.92, 4, 3)
    limit = np.where(age == 0, child_limit, adult_limit)
    width = len(str(count))
    table = pa.table({
        "user_id": [f"user_{number:0{width}d}" for number in range(1, count + 1)],
        "age_band": [AGE_BANDS[i] for i in age.tolist()],
        "gender": [GENDERS[i] for i in gender.tolist()],
        "region": [REGIONS[i] for i in region.tolist()],
        "subscription_tier": [TIERS[i] for i in pick(rng, _TIER_SHARES, count).tolist()],
        "maturity_limit": pa.array(limit, pa.int32()),
        "created_at": pa.array(joined, pa.timestamp("ms", tz="UTC")),
    })  # fmt: skip
    pace = rng.lognormal(-1.35, 0.9, count).clip(max=4.0)
    habit = pick(rng, np.array([0.45, 0.2, 0.15, 0.2]), count)
    return Audience(vector, favourites, share, region, limit, habit, pace, joined, table)


def habit_weights() -> Floats:
    """(HABITS, 7 weekdays from Monday, 24 local hours): how likely a session is to begin then."""
    hour = np.arange(24)
    peaks = {"evening": (20.5, 2.2), "morning": (8.0, 2.0), "night": (23.5, 2.0), "noon": (15.0, 4.0)}
    curve = {name: np.exp(-0.5 * (_around(hour - centre) / wide) ** 2) for name, (centre, wide) in peaks.items()}
    daily = np.stack([curve["evening"], curve["morning"], curve["night"], curve["noon"] + curve["evening"]]) + 0.05
    weekly = np.array([[1, 1, 1, 1, 1.2, 1.4, 1.3], [1.2, 1.2, 1.2, 1.2, 1.1, 0.7, 0.7], [1, 1, 1, 1, 1.5, 1.6, 1],
                       [0.2, 0.2, 0.2, 0.2, 0.8, 2.5, 2.5]])  # fmt: skip
    return weekly[:, :, None] * daily[:, None, :]


def _around(hours: Floats) -> Floats:
    """Distance on the clock: 23:00 and 01:00 are two hours apart."""
    return (hours + 12) % 24 - 12
