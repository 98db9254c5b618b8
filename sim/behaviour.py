"""What the demo world's users are shown and do. Vectorised over sessions and impressions."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sim import names
from sim.audience import FAVOURITES, UTC_OFFSET_HOURS, Audience, habit_weights
from sim.catalogue import DAY_MS, Catalogue, Floats, Ints, pick

HOUR_MS = DAY_MS // 24
TYPES = ("impression", "click", "watch", "add_to_list", "rate", "not_interested")
PAGES = ("home", "search", "similar")
DEVICES = ("tv", "phone", "tablet", "web")
NONE = -1

_PAGE_SHARES = np.array([0.72, 0.13, 0.15])
_DEVICE_SHARES = np.array([0.45, 0.32, 0.08, 0.15])
_ROW_LENGTH = np.array([7.0, 4.0, 5.0])
"""Mean number of items shown, by page."""
_EAGERNESS = np.array([0.0, 0.9, 0.3])
"""Added to the logit of a click, by page."""
_SPARE = 4
"""Items drawn beyond the row's length, for some turn out doubled or not allowed."""
_POPULAR, _TASTE, _NEW = 0.38, 0.42, 0.12
"""Shares of the ways an item comes to be shown; the rest is drawn evenly from all."""
_TIMES_TRIED = 6
MOST_CLICKS = 3
"""In one session."""


@dataclass
class Log:
    """Columns of equal length, one entry an event. NONE: no value; times in ms since 1970."""

    user: Ints
    item: Ints
    kind: Ints
    time: Ints
    session: Ints
    position: Ints
    seconds: Ints
    completed: Ints
    half_stars: Ints
    """Rating × 2."""

    def where(self, keep: NDArray[np.bool_] | Ints) -> Log:
        return Log(**{part.name: getattr(self, part.name)[keep] for part in fields(self)})


@dataclass(frozen=True)
class Sessions:
    user: Ints
    begin: Ints
    page: Ints
    device: Ints

    def where(self, keep: NDArray[np.bool_] | Ints) -> Sessions:
        return Sessions(self.user[keep], self.begin[keep], self.page[keep], self.device[keep])


@dataclass(frozen=True)
class Moods:
    """What decides, beside user and item, how much an item appeals."""

    by_daypart: Floats
    """(4, genres)."""
    by_weekend: Floats
    """(2, genres): on weekdays, at weekends."""
    mean: float
    """Of the match of taste and item over all that the record shows; `spread` is its standard deviation."""
    spread: float


def examined(position: Ints) -> Floats:
    """Chance that a user looks at a position of a row at all."""
    return 1.0 / (1.0 + 0.3 * position)


def make_sessions(rng: np.random.Generator, audience: Audience, start: int, end: int) -> Sessions:
    """Sessions in the users' habitual hours, after their account began."""
    begins = np.clip(audience.joined, start, end)
    count = rng.poisson(audience.sessions_per_day * (end - begins) / DAY_MS)
    user = np.repeat(np.arange(len(audience)), count)
    tries = begins[user, None] + (rng.random((len(user), _TIMES_TRIED)) * (end - begins[user, None])).astype(np.int64)
    local = tries + UTC_OFFSET_HOURS[audience.region[user], None] * HOUR_MS
    weight = habit_weights()[audience.habit[user, None], weekday(local), (local // HOUR_MS) % 24]
    chosen = np.argmax(np.log(weight) + rng.gumbel(size=weight.shape), axis=1)
    begin = tries[np.arange(len(user)), chosen]
    return Sessions(user, begin, pick(rng, _PAGE_SHARES, len(user)), pick(rng, _DEVICE_SHARES, len(user)))


def weekday(moment: Ints) -> Ints:
    """Monday 0 to Sunday 6; 1 January 1970 was a Thursday."""
    return (moment // DAY_MS + 3) % 7


def make_log(
    rng: np.random.Generator, audience: Audience, catalogue: Catalogue, sessions: Sessions, end: int
) -> tuple[Log, Moods]:
    """Every event, ordered by time, none outside its item's licence and none at `end` or after; and the moods."""
    shown = _impressions(rng, audience, catalogue, sessions)
    moods = _moods(rng, _match(audience, catalogue, shown))
    appeal = appeals(audience, catalogue, moods, shown)
    log = act(rng, catalogue, shown, appeal, sessions.page[shown.session], np.zeros(len(appeal), bool))
    log = log.where(
        (log.time < end) & (log.time >= catalogue.opens[log.item]) & (log.time < catalogue.closes[log.item])
    )
    return log.where(np.lexsort((log.kind, log.item, log.user, log.time))), moods


def row_length(rng: np.random.Generator, page: Ints) -> Ints:
    """Items that come into view in each visit, by page."""
    return cast(Ints, 2 + rng.poisson(_ROW_LENGTH[page]))


def act(
    rng: np.random.Generator,
    catalogue: Catalogue,
    shown: Log,
    appeal: Floats,
    page: Ints,
    before: NDArray[np.bool_],
) -> Log:
    """What users do with the items that they are shown: these impressions and all that follows, in no order.

    Args:
        shown: (n,) impressions, those of a session together and from the top.
        appeal: (n,) as `appeals` gives it.
        page: (n,) index into PAGES.
        before: (n,) whether the user has clicked the item earlier than in this record.
    """
    looked = rng.random(len(appeal)) < examined(shown.position)
    wanted = rng.random(len(appeal)) < _sigmoid(-1.5 + 1.25 * appeal + _EAGERNESS[page])
    clicked = looked & wanted
    clicked[clicked] = _count_within(shown.session[clicked]) < MOST_CLICKS
    parts = [shown, *_after_clicks(rng, catalogue, shown.where(clicked), appeal[clicked], before[clicked])]
    listed = looked & ~clicked & (rng.random(len(appeal)) < 0.05 * _sigmoid(appeal))
    parts.append(_also(shown.where(listed), "add_to_list", 2_500))
    refused = looked & ~clicked & (appeal < -1.0) & (rng.random(len(appeal)) < 0.02)
    parts.append(_also(shown.where(refused), "not_interested", 3_500))
    return Log(**{part.name: np.concatenate([getattr(p, part.name) for p in parts]) for part in fields(Log)})


def _impressions(rng: np.random.Generator, audience: Audience, catalogue: Catalogue, sessions: Sessions) -> Log:
    length = row_length(rng, sessions.page)
    session = np.repeat(np.arange(len(length)), length + _SPARE)
    user, time = sessions.user[session], sessions.begin[session]
    item = _draw_items(rng, audience, catalogue, user, time)
    allowed = (
        (catalogue.opens[item] <= time)
        & (time < catalogue.closes[item])
        & catalogue.licensed[item, audience.region[user]]
        & (catalogue.maturity[item] <= audience.maturity_limit[user])
    )
    session, item = session[allowed], item[allowed]
    _, first = np.unique(session * len(catalogue) + item, return_index=True)
    first.sort()
    session, item = session[first], item[first]
    position = _count_within(session)
    keep = position < length[session]
    session, item, position = session[keep], item[keep], position[keep]
    user, time = sessions.user[session], sessions.begin[session] + 150 * position
    return impressions(session, position, user=user, item=item, time=time)


def impressions(session: Ints, position: Ints, *, user: Ints, item: Ints, time: Ints) -> Log:
    """A log of impressions alone."""
    return _events("impression", session, position, user=user, item=item, time=time)


def _draw_items(rng: np.random.Generator, audience: Audience, catalogue: Catalogue, user: Ints, time: Ints) -> Ints:
    """An item for each entry: popular, of a favourite genre, newly released, or any."""
    count, total = len(user), len(catalogue)
    way = rng.random(count)
    item = rng.integers(0, total, count)
    popular = way < _POPULAR
    item[popular] = pick(rng, catalogue.weight, int(popular.sum()))

    taste = (way >= _POPULAR) & (way < _POPULAR + _TASTE)
    who = user[taste]
    which = (rng.random((len(who), 1)) > np.cumsum(audience.favourite_share[who], axis=1)).sum(axis=1)
    item[taste] = _of_genre(rng, catalogue, audience.favourites[who, which.clip(max=FAVOURITES - 1)])

    new = (way >= _POPULAR + _TASTE) & (way < _POPULAR + _TASTE + _NEW)
    releases = np.flatnonzero(catalogue.is_new)
    releases = releases[np.argsort(catalogue.opens[releases], kind="stable")]
    out = np.searchsorted(catalogue.opens[releases], time[new], side="right")
    back = rng.exponential(40.0, len(out)).astype(np.int64)
    some = out > 0
    rows = np.flatnonzero(new)[some]
    item[rows] = releases[(out - 1 - back)[some].clip(min=0)]
    return item


def _of_genre(rng: np.random.Generator, catalogue: Catalogue, genre: Ints) -> Ints:
    """A popular item whose primary genre is the one asked for; any item where there is none."""
    order = np.argsort(catalogue.genre[:, 0], kind="stable")
    bounds = np.concatenate([[0.0], np.cumsum(catalogue.weight[order])])
    edges = np.searchsorted(catalogue.genre[order, 0], np.arange(len(names.GENRES) + 1))
    low, high = bounds[edges[genre]], bounds[edges[genre + 1]]
    at = np.searchsorted(bounds, low + rng.random(len(genre)) * (high - low), side="right") - 1
    return cast(Ints, order[at.clip(0, len(order) - 1)])


def appeals(audience: Audience, catalogue: Catalogue, moods: Moods, shown: Log) -> Floats:
    """How much each item shown appeals, about standard normal: taste, quality, and what suits the hour and the day."""
    taste = (_match(audience, catalogue, shown) - moods.mean) / moods.spread
    local = shown.time + UTC_OFFSET_HOURS[audience.region[shown.user]] * HOUR_MS
    genre = catalogue.genre[shown.item, 0]
    moment = (
        moods.by_daypart[(local // (6 * HOUR_MS)) % 4, genre]
        + moods.by_weekend[(weekday(local) >= 5).astype(np.int64), genre]
    )
    return cast(Floats, taste + 0.35 * catalogue.quality[shown.item] + moment)


def _match(audience: Audience, catalogue: Catalogue, shown: Log) -> Floats:
    return cast(Floats, np.einsum("nk,nk->n", audience.vector[shown.user], catalogue.vector[shown.item]))


def _moods(rng: np.random.Generator, match: Floats) -> Moods:
    by_daypart = 0.5 * rng.normal(size=(4, len(names.GENRES)))
    by_weekend = 0.3 * rng.normal(size=(2, len(names.GENRES)))
    mean, spread = (float(match.mean()), max(float(match.std()), 1e-9)) if len(match) else (0.0, 1.0)
    return Moods(by_daypart, by_weekend, mean, spread)


def _after_clicks(
    rng: np.random.Generator, catalogue: Catalogue, clicks: Log, appeal: Floats, before: NDArray[np.bool_]
) -> list[Log]:
    """The clicks, the watches that follow one after the other, and the ratings after some of these."""
    count = len(appeal)
    starts = rng.random(count) < 0.85
    share = _sigmoid(0.5 + 1.1 * appeal + 1.4 * rng.normal(size=count))
    finished = share > 0.85
    full = catalogue.duration_min[clicks.item] * 60
    seconds = np.where(finished, full, np.maximum(15, share * full)).astype(np.int64)
    again = rng.random(count) >= 0.05
    _, first = np.unique(clicks.user * len(catalogue) + clicks.item, return_index=True)
    repeated = np.ones(count, bool)
    repeated[first] = before[first]
    starts &= ~(repeated & again)

    spent = np.where(starts, seconds, 20) * 1000
    elapsed = np.cumsum(spent) - spent
    _, opening = np.unique(clicks.session, return_index=True)
    elapsed -= np.repeat(elapsed[opening], np.diff([*opening, count]))
    clicks.time += elapsed + 2_000 + 1_500 * clicks.position + rng.integers(0, 1_500, count)
    clicks.kind[:] = TYPES.index("click")

    watches = clicks.where(starts)
    watches.kind[:] = TYPES.index("watch")
    watches.seconds, watches.completed = seconds[starts], finished[starts].astype(np.int64)
    watches.time = watches.time + seconds[starts] * 1000
    rated = rng.random(len(watches.time)) < np.where(watches.completed == 1, 0.12, 0.04)
    rates = watches.where(rated)
    rates.kind[:] = TYPES.index("rate")
    liking = 3.4 + 0.7 * appeal[starts][rated] + 0.5 * rng.normal(size=int(rated.sum())) - 1.2 * (rates.completed == 0)
    rates.half_stars = np.clip(np.round(liking * 2), 1, 10).astype(np.int64)
    rates.time = rates.time + 20_000
    rates.seconds[:], rates.completed[:], rates.position[:] = NONE, NONE, NONE
    return [clicks, watches, rates]


def _also(shown: Log, kind: str, delay_ms: int) -> Log:
    time = shown.time + delay_ms
    return _events(kind, shown.session, shown.position, user=shown.user, item=shown.item, time=time)


def _events(kind: str, session: Ints, position: Ints, *, user: Ints, item: Ints, time: Ints) -> Log:
    nothing = np.full(len(user), NONE, np.int64)
    kinds = np.full(len(user), TYPES.index(kind), np.int64)
    return Log(user, item, kinds, time, session, position, nothing, nothing.copy(), nothing.copy())


def _count_within(groups: Ints) -> Ints:
    """0, 1, 2 … within each run of equal values of a sorted array."""
    index = np.arange(len(groups))
    begins = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]]) if len(groups) else index
    return index - np.repeat(begins, np.diff(np.r_[begins, len(groups)]))


def _sigmoid(x: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-x))
