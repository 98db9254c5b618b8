"""Whether off-policy estimates hold what they say: 1,000 logs of a policy whose truth is known.

Home pages of users with tastes of their own, at the places that explore. Logs are made in two ways: `stated`, by the
propensities as serving/exploration.py states them, all logs at once; and `drawn`, by the service's own code, seed by
seed. The target policy shows, at these places, one of the items that some other model ranks highest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.lines import emit, progress
from conf.rules import Exploration, load_rules
from models.offpolicy import Estimate, Logged, doubly_robust, ips, snips
from serving.exploration import Stratum, draw, explores, generator, strata

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
LOGS, ORDERS = 1_000, 2_000
SHARE = 0.4
"""Of orders that explore. More than the rules have, so that a log of some hundred orders says something."""
USERS, ITEMS, NEW, WINDOW = 40, 60, 8, 20
SEED = 5


@dataclass(frozen=True)
class Scene:
    """Users whose orders are 0, 1, 2 …, with what lies beyond the first `WINDOW` to draw from. k places explore."""

    rules: Exploration
    places: Ints
    """(k,) from 0."""
    parts: tuple[Stratum, ...]
    chance: Floats
    """(users, k, items) of a click on an item at a place."""
    target: Floats
    """(users, k, items) probability of an item at a place under the target policy."""
    model: Floats
    """(users, k, items) what a reward model takes `chance` for: near it, and wrong."""

    @property
    def propensity(self) -> Floats:
        """(k, items) as serving/exploration.py states it."""
        found = np.zeros((len(self.places), ITEMS))
        for part in self.parts:
            found[:, part.item_no] = self.rules.share * part.share / len(part.item_no)
        found[np.arange(len(self.places)), self.places] = 1 - self.rules.share
        return found

    @property
    def truth(self) -> float:
        """Mean reward a place of the target policy."""
        return float((self.target * self.chance).sum(axis=2).mean())


def scene(seed: int = SEED, share: float = SHARE) -> Scene:
    rng = np.random.default_rng(seed)
    rules = load_rules().exploration.model_copy(update={"share": share})
    places = np.array(rules.positions) - 1
    pool = np.arange(ITEMS) >= WINDOW
    parts = tuple(strata(pool, np.arange(ITEMS - NEW, ITEMS, dtype=np.int32), rules.new_share, len(places)))
    looked = 1 / (1 + 0.05 * places)
    liking = rng.normal(size=(USERS, 1, ITEMS)) - 0.8
    chance = 0.6 * looked[:, None] / (1 + np.exp(-liking))
    allowed = np.tile(pool, (USERS, len(places), 1))
    allowed[:, np.arange(len(places)), places] = True
    other = np.where(allowed, 0.7 * (liking + rng.normal(size=liking.shape)), -np.inf)
    target = np.exp(other - other.max(axis=2, keepdims=True))
    target /= target.sum(axis=2, keepdims=True)
    model = 0.8 * chance + 0.15 * rng.random(chance.shape)
    return Scene(rules, places, parts, chance, target, model)


def stated(here: Scene, rng: np.random.Generator, orders: int) -> tuple[Ints, Ints]:
    """Users and items (orders, k) of a log, drawn as the propensities say."""
    users = rng.integers(0, USERS, orders)
    bounds = np.cumsum(here.propensity, axis=1)
    lots = rng.random((orders, len(here.places)))
    items = np.stack([np.searchsorted(bound, lot, side="right") for bound, lot in zip(bounds, lots.T, strict=True)], 1)
    return users, items.clip(max=ITEMS - 1)


def drawn(here: Scene, rng: np.random.Generator, orders: int) -> tuple[Ints, Ints]:
    """The same by the service's own draws, each order with a seed of its own."""
    users = rng.integers(0, USERS, orders)
    items = np.tile(here.places, (orders, 1))
    for order, token in enumerate(rng.integers(0, 1 << 62, orders).tolist()):
        seed = f"req_{token:016x}"
        if explores(here.rules, seed):
            found = draw(here.parts, len(here.places), generator(here.rules, seed, 0))
            items[order] = [each.item_no for each in found]
    return users, items


Logging = Callable[[Scene, np.random.Generator, int], tuple[Ints, Ints]]


def estimates(here: Scene, logging: Logging, logs: int, orders: int, seed: int = SEED) -> Iterator[dict[str, Estimate]]:
    """What each estimator makes of each of so many logs."""
    rng = np.random.default_rng([seed, logs, orders])
    places, expected = np.arange(len(here.places)), (here.target * here.model).sum(axis=2)
    propensity, target, chance, model = here.propensity, here.target, here.chance, here.model
    for _ in range(logs):
        users, items = logging(here, rng, orders)
        at = (users[:, None], places, items)
        # One mood an order, 1 in the mean, so that its places depend on each other; no chance is above 0.6.
        mood = rng.uniform(0.4, 1.6, (orders, 1))
        reward = (rng.random(items.shape) < chance[at] * mood).astype(float)
        order = np.repeat(np.arange(orders), len(places))
        log = Logged(reward.ravel(), propensity[places, items].ravel(), target[at].ravel(), order)
        yield {
            "ips": ips(log),
            "snips": snips(log),
            "doubly_robust": doubly_robust(log, model[at].ravel(), expected[users].ravel()),
        }


def measure(logs: int = LOGS, orders: int = ORDERS) -> None:
    """Print, for each way of logging and each estimator, the share of intervals that hold the truth, and more."""
    here = scene()
    for name, logging in (("stated", stated), ("drawn", drawn)):
        progress(f"{logs:,} logs of {orders:,} orders, {name}")
        found = list(estimates(here, logging, logs, orders))
        for estimator in found[0]:
            report(f"offpolicy.{name}.{estimator}", [each[estimator] for each in found], here.truth)


def report(case: str, found: list[Estimate], truth: float) -> None:
    """Coverage with its own 95 % interval, bias in standard errors of the mean, and the intervals' mean width."""
    covered = np.array([each.low <= truth <= each.high for each in found])
    share, error = covered.mean(), 1.96 * covered.std() / np.sqrt(len(found))
    values = np.array([each.value for each in found])
    bias = (values.mean() - truth) / (values.std() / np.sqrt(len(found)))
    emit(f"{case}.coverage", [share], "share of intervals", len(found), interval=(share - error, share + error))
    emit(f"{case}.bias", [bias], "standard errors", len(found))
    width = [each.high - each.low for each in found]
    emit(f"{case}.width", [float(np.mean(width)) / truth], "of the truth", len(found))
