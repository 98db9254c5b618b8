"""The one order of a visit: filter, diversity, promotions and exploration, made as far as it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from conf.vocabulary import NO_ANCHOR
from models.rerank import OPEN, Bar, Diversifier, bars_of
from serving.candidates import CACHED, EXPLORED, PERSONALIZED, PROMOTED, Candidates
from serving.exploration import draw, explores, generator, strata
from serving.pool import EMPTY, Pool
from serving.visit import Visit

DIVERSITY_RULES = ("primary_genre", "director")
"""What the groups of the diversity rules are, the one that gives way last first."""
_BARS = tuple(Bar)
PROMOTION, EXPLORATION = "promoted", "explored"
"""Tiers of items that no list put on the page."""


@dataclass
class FirstTier:
    """What the filter did to the tier that was read first."""

    candidates: int = 0
    left: int = 0
    removed: dict[Bar, int] = field(default_factory=dict)


class Order:
    """Places and what stands on them. What is decided for a place never depends on how far the order is made.

    Blocks of `diversity.window` places are decided one after the other; before each, tiers are read until a block's
    worth of items is left to choose from, so the diversity rules have a choice before they give way.
    """

    def __init__(
        self,
        visit: Visit,
        tiers: Iterable[Candidates],
        *,
        diverse: bool = False,
        pins: bool = False,
        draws: bool = False,
        shown: Sequence[int] = (),
    ) -> None:
        """
        Args:
            tiers: read as far as needed, in their order.
            diverse: whether the diversity rules hold.
            pins: whether promotions are pinned to it.
            draws: whether it may explore; then the last tier has all that may be shown. The baseline group never does.
            shown: item_nos that must not come, for they stand elsewhere on the page.
        """
        rules = visit.rules.diversity
        self.pool = EMPTY
        self.tiers: list[str] = []
        self.places: list[int] = []
        """Row of the pool on each place, from the top."""
        self.propensity: list[float] = []
        """Of each place; see serving/exploration.py."""
        self.first = FirstTier()
        self.explores = False
        self._may_explore = draws and visit.personalized
        if self._may_explore:
            self.explores = explores(visit.rules.exploration, visit.request.seed)
        self.bars = visit.bars
        self._visit = visit
        self._unread = iter(tiers)
        self._diverse = diverse
        self._chooser = Diversifier(
            rules.window, (rules.max_per_primary_genre, rules.max_per_director) if diverse else ()
        )
        self._rows: list[int] = []
        """Row of the pool of each item that the chooser knows."""
        self._back: list[int] = []
        """Rows that a draw took the place of: they come next."""
        self._drawn: set[int] = set()
        self._ceiling = 1.0
        self._shown = np.array(shown, np.int32) if shown else EMPTY.item_no
        self._pins = self._pinned() if pins and visit.catalogue.promotions else {}
        if self._pins:
            self._shown = np.concatenate([self._shown, np.fromiter(self._pins.values(), np.int32)])

    def reach(self, count: int) -> None:
        """Decide `count` places, or as many as there are items for."""
        window = self._visit.rules.diversity.window
        while len(self.places) < count:
            within = len(self.places) % window
            if within == 0:
                self._read(window)
            if within == 0 and (self.explores or self._pins):
                rows = self._whole_block(window)
            else:
                rows = self._next(min(count - len(self.places), window - within))
                self.propensity.extend(self._undrawn(len(self.places), len(rows)))
            if not rows:
                return
            self.places.extend(rows)

    def goes_on(self, count: int) -> bool:
        """Whether there is an item after the first `count` places."""
        if len(self.places) > count:
            return True
        if self._drawn:
            # What is left may have been drawn before.
            self.reach(count + 1)
            return len(self.places) > count
        self._read(1)
        return self._chooser.left > 0 or bool(self._back)

    def waited_for(self, item_no: int) -> str | None:
        """The diversity rule that first made an item wait for a later place; None: none did."""
        for index, rule in self._chooser.held.items():
            if self.pool.item_no[self._rows[index]] == item_no:
                return DIVERSITY_RULES[rule]
        return None

    def _pinned(self) -> dict[int, int]:
        """item_no by place, from the top: of the promotions that hold now and may be shown, those named first."""
        visit, found = self._visit, dict[int, int]()
        context, limit = visit.request.page, visit.rules.promotions.per_page
        for number, promotion in visit.catalogue.promotions:
            place = promotion.slot - 1
            if len(found) == limit:
                break
            if place in found or number in found.values() or not promotion.holds(context, visit.as_of):
                continue
            if visit.barred(np.array([number], np.int32), self._shown)[0] == OPEN:
                found[place] = number
        return dict(sorted(found.items()))

    def _read(self, wanted: int) -> None:
        while self._chooser.left + len(self._back) < wanted:
            tier = next(self._unread, None)
            if tier is None:
                return
            self._add(tier)

    def _add(self, tier: Candidates) -> None:
        """Filter a tier, and let what is left of it be chosen.

        A tier without scores is scored by rank, from the lowest score before it (1 at first) evenly down to 0.
        """
        shown = np.concatenate([self._shown, self.pool.item_no]) if self._rows else self._shown
        bars = self._visit.barred(tier.item_no, shown)
        kept = np.flatnonzero(bars == OPEN)
        count = len(kept)
        if not self.tiers:
            self.first = FirstTier(len(bars), count, _removed(bars) if count < len(bars) else {})
        self.tiers.append(tier.tier)
        if not count:
            return
        score = _by_rank(count, self._ceiling) if tier.score is None else tier.score[kept]
        anchor = np.full(count, NO_ANCHOR, np.uint8) if tier.anchor is None else tier.anchor[kept]
        number = np.full(count, len(self.tiers) - 1, np.uint8)
        item_no = tier.item_no[kept]
        start = len(self.pool.item_no)
        self.pool = self.pool.joined(Pool(item_no, score, tier.reason[kept], anchor, number))
        self._rows.extend(range(start, start + count))
        catalogue = self._visit.catalogue
        self._chooser.extend(catalogue.groups[item_no] if self._diverse else np.zeros((count, 0), np.int32))
        self._ceiling = float(score.min())

    def _next(self, count: int) -> list[int]:
        """The rows of the pool for the next places of a block."""
        rows, self._back = self._back[:count], self._back[count:]
        while len(rows) < count:
            chosen = [self._rows[index] for index in self._chooser.take(count - len(rows))]
            if not chosen:
                break
            if self._drawn:
                chosen = [row for row in chosen if int(self.pool.item_no[row]) not in self._drawn]
            rows.extend(chosen)
        return rows

    def _whole_block(self, window: int) -> list[int]:
        """A block with its promotions and, if this order explores, its draws."""
        start = len(self.places)
        pins = self._pins if start == 0 else {}
        rows = self._next(window - len(pins))
        for place, number in pins.items():
            rows.insert(place, self._special(number, PROMOTION, PROMOTED, rows[place : place + 1] or rows[-1:]))
        self.propensity.extend(self._undrawn(start, len(rows)))
        places = self._drawable(start, len(rows)) if self.explores else []
        if places:
            self._explore(rows, places, start)
        return rows

    def _explore(self, rows: list[int], places: Sequence[int], start: int) -> None:
        """Put a drawn item on each of some places of a block; what stood there comes first in the next block."""
        visit, rules = self._visit, self._visit.rules.exploration
        placed = self.pool.item_no[[*self.places, *rows]]
        parts = strata(self._open(placed), visit.catalogue.new, rules.new_share, len(places))
        rng = generator(rules, visit.request.seed, start // visit.rules.diversity.window)
        for place, found in zip(places, draw(parts, len(places), rng), strict=True):
            self._back.append(rows[place])
            rows[place] = self._special(found.item_no, EXPLORATION, EXPLORED, [rows[place]])
            self.propensity[start + place] = rules.share * found.propensity
            self._drawn.add(found.item_no)

    def _open(self, placed: NDArray[np.int32]) -> NDArray[np.bool_]:
        """(n,) the items that draws are from: the rest of the user's list, for of other items nobody here knows
        whether they were watched; of a user without a list all that may be shown."""
        mask = self._visit.open(placed)
        if self._own_first:
            own = np.zeros_like(mask)
            own[self.pool.item_no[: self.first.left]] = True
            mask &= own
        return mask

    @property
    def _own_first(self) -> bool:
        return self.tiers[:1] in ([PERSONALIZED], [CACHED])

    def _undrawn(self, start: int, count: int) -> list[float]:
        """Propensities of places `start` and on, of one block, for the items that the order itself puts there."""
        window = self._visit.rules.diversity.window
        first = start - start % window
        found = [1.0] * count
        for place in self._drawable(first, start % window + count):
            if place >= start % window:
                found[first + place - start] = 1.0 - self._visit.rules.exploration.share
        return found

    def _drawable(self, start: int, count: int) -> list[int]:
        """Places, within the block that begins at `start`, that draws are for; none where too few items are left.

        count: items of the block, as far as it is made. A block that is not full has used up all there was.
        """
        visit = self._visit
        if not self._may_explore:
            return []
        pins = self._pins if start == 0 else {}
        window = visit.rules.diversity.window
        wanted = [place - 1 for place in visit.rules.exploration.positions if place - 1 not in pins]
        if self._own_first:
            left = self.first.left - (start + window)
        else:
            left = visit.bars.open - len(visit.hidden) - (start + window)
        if left < len(wanted) and not self._own_first:
            hidden = bars_of(visit.bars.bars, visit.hidden) == OPEN
            left = visit.bars.open - int(np.count_nonzero(hidden)) - (start + window)
        return [place for place in wanted if place < count] if left >= len(wanted) else []

    def _special(self, item_no: int, tier: str, reason: int, place_of: Sequence[int]) -> int:
        """Add an item to the pool that takes the place, and so the score, of another. Returns its row."""
        if tier not in self.tiers:
            self.tiers.append(tier)
        score = self.pool.score[list(place_of)] if place_of else np.ones(1, np.float32)
        row = Pool(
            np.array([item_no], np.int32),
            score,
            np.array([reason], np.uint8),
            np.array([NO_ANCHOR], np.uint8),
            np.array([self.tiers.index(tier)], np.uint8),
        )
        self.pool = self.pool.joined(row)
        return len(self.pool.item_no) - 1


def _removed(bars: NDArray[np.uint8]) -> dict[Bar, int]:
    counts = np.bincount(bars, minlength=len(_BARS)).tolist()
    return {bar: count for bar, count in zip(_BARS, counts, strict=True) if count and bar}


def _by_rank(count: int, ceiling: float) -> NDArray[np.float32]:
    return np.asarray(ceiling * np.arange(count, 0, -1) / count, dtype=np.float32)
