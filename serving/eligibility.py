"""The one way by which items of every tier, shelf and draw are filtered, and what it reads of a catalogue."""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from conf.rules import Promotion, Rules
from conf.vocabulary import NO_GENRE
from models.rerank import OPEN, UNGROUPED, catalogue_bars
from serving.request import Limits
from serving.session import scale_of
from serving.snapshot import Snapshot
from stores.artefact import Artefact

MAX_KINDS_OF_VIEWERS = 256
"""Limits whose bars are kept for a snapshot: a byte an item each."""


class Bars(NamedTuple):
    """What viewers with the same limits may see, for a time in which no licence or promotion begins or ends."""

    since: float
    before: float
    """Epoch seconds, exclusive."""
    bars: NDArray[np.uint8]
    """(n + 1,) from `catalogue_bars`."""
    open: int
    """Items without a bar."""
    new: NDArray[np.bool_]
    """(m + 1,) which items of the new-item shelf have none; the last entry, False, stands for all other items."""


class Catalogue:
    """What the rules read of an artefact, worked out once."""

    def __init__(self, artefact: Artefact, rules: Rules) -> None:
        genre = np.where(artefact.primary_genre == NO_GENRE, UNGROUPED, artefact.primary_genre.astype(np.int32))
        groups = np.stack([genre, _directors(artefact)], axis=1)
        self.groups = groups.astype(np.min_scalar_type(-1 - int(groups.max(initial=0))))
        """(n, 2) primary genre and director, as groups of the diversity rules, in the narrowest signed type."""
        self.new = np.unique(artefact.popular.get("new", np.zeros(0, np.int32)))
        """(m,) item_nos of the new-item shelf, ascending."""
        self.new_vectors = np.ascontiguousarray(artefact.vectors[self.new])
        """(m, dim)."""
        self.place_in_new = np.full(len(artefact), len(self.new), np.min_scalar_type(len(self.new)))
        """(n,) index into `new`; m for items that are not on the shelf. In the narrowest type, to be near."""
        self.place_in_new[self.new] = np.arange(len(self.new))
        self.scale = scale_of(artefact.vectors)
        """(n,) for `session.nearest`."""
        self.promotions: list[tuple[int, Promotion]] = [
            (artefact.item_no[promotion.item_id], promotion)
            for promotion in rules.promotions.items
            if promotion.item_id in artefact.item_no
        ]
        """With their item_no. A promotion of an item that the catalogue does not have yet waits for it."""
        edges = [edge.timestamp() for _, one in self.promotions for edge in (one.start, one.until)]
        self._changes = np.unique(np.concatenate([artefact.available_from, artefact.available_until, edges]))
        self._withheld = _withheld(artefact, rules)

    def is_new(self, item_no: NDArray[np.int32]) -> NDArray[np.bool_]:
        """(k,) which items of the catalogue are on the new-item shelf."""
        found: NDArray[np.bool_] = self.place_in_new[item_no] < len(self.new)
        return found

    def bars(self, snapshot: Snapshot, limits: Limits, now: float) -> Bars:
        """Work out what viewers with these limits may see of a snapshot of this artefact."""
        artefact = snapshot.artefact
        bars = catalogue_bars(
            active=snapshot.active,
            maturity=artefact.maturity,
            licensed=artefact.licensed,
            available_from=artefact.available_from,
            available_until=artefact.available_until,
            now=now,
            maturity_limit=limits.maturity,
            region_bits=limits.regions,
            withheld=self._withheld[limits.tier],
        )
        place = int(np.searchsorted(self._changes, now, side="right"))
        since = self._changes[place - 1] if place else -np.inf
        before = self._changes[place] if place < len(self._changes) else np.inf
        new = np.append(bars[self.new] == OPEN, False)
        return Bars(float(since), float(before), bars, int(np.count_nonzero(bars == OPEN)), new)


class Eligibility:
    """Keeps what was worked out for the snapshots that are in use. Thread-safe."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._lock = Lock()
        self._catalogues: WeakKeyDictionary[Artefact, Catalogue] = WeakKeyDictionary()
        self._bars: WeakKeyDictionary[Snapshot, dict[Limits, Bars]] = WeakKeyDictionary()

    def catalogue(self, artefact: Artefact) -> Catalogue:
        """Of an artefact; the first call for it takes a tenth of a second for 100,000 items."""
        found = self._catalogues.get(artefact)
        if found is None:
            with self._lock:
                found = self._catalogues.get(artefact)
                if found is None:
                    found = self._catalogues[artefact] = Catalogue(artefact, self._rules)
        return found

    def bars(self, snapshot: Snapshot, limits: Limits, now: float) -> Bars:
        """What viewers with these limits may see now."""
        kept = self._bars.get(snapshot)
        found = None if kept is None else kept.get(limits)
        if found is not None and found.since <= now < found.before:
            return found
        made = self.catalogue(snapshot.artefact).bars(snapshot, limits, now)
        with self._lock:
            kept = self._bars.setdefault(snapshot, {})
            while len(kept) >= MAX_KINDS_OF_VIEWERS:
                del kept[next(iter(kept))]
            kept[limits] = made
        return made


def _directors(artefact: Artefact) -> NDArray[np.int32]:
    """A number for each director, the same for equal names; UNGROUPED where there is none."""
    numbers: dict[str | None, int] = {None: UNGROUPED}
    return np.fromiter((numbers.setdefault(name, len(numbers)) for name in artefact.directors), np.int32)


def _withheld(artefact: Artefact, rules: Rules) -> dict[str | None, NDArray[np.bool_]]:
    """(n,) what each subscription tier does not get. None, an unknown tier, does not get what any does not."""
    masks: dict[str | None, NDArray[np.bool_]] = {None: np.zeros(len(artefact), bool)}
    for tier, withheld in rules.tiers.items():
        bits = sum(1 << place for place, name in enumerate(artefact.genre_names) if name in withheld.genres)
        mask = (artefact.genres & np.uint64(bits)) != 0
        mask[[artefact.item_no[item_id] for item_id in withheld.items if item_id in artefact.item_no]] = True
        masks[tier] = mask
        masks[None] = masks[None] | mask
    return masks
