"""What a change of the rules would have done to pages that were shown: each is made again, under both.

Both are made from what is known now, as it was when the page was shown: the user's rows that the generation's readers
saw, the events that the log had by then, the clock, and the request's own seed. Whatever cannot be had any more differs
from what was shown under both rules alike; how many pages come out as they were shown tells how much that is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from conf.errors import DataError, RetryableError
from conf.rules import Rules
from conf.serving_settings import Serving
from serving.lookup import Known, Lookup, Outcome
from serving.metrics import Metrics
from serving.page import Page
from serving.recommender import Recommender
from serving.request import Request
from serving.snapshot import Snapshot
from stores.artefact import load_artefact
from stores.base import Store
from stores.control import Control
from stores.sessions.base import HIDING_EVENTS, Sessions

TRUSTED = 0.9
"""Share of pages that must come out as they were shown for a replay to be trusted."""
FIRST = 5
PATIENT_MS = 60_000
_LOST = frozenset({Outcome.FAILED, Outcome.LATE, Outcome.OPEN})


@dataclass(frozen=True)
class Logged:
    """A home page as the table `served` has it; the first of its order."""

    request_id: str
    user_id: str
    item_ids: tuple[str, ...]
    generation: int
    timestamp: float
    """Epoch seconds."""


@dataclass
class Side:
    """All pages under one set of rules."""

    short: int = 0
    """Pages with fewer items than were shown."""
    genres: float = 0.0
    """Primary genres of a page, on average."""
    positions: dict[str, float] = field(default_factory=dict)
    """Share of all positions by the tier of what stands there."""
    removed: dict[str, int] = field(default_factory=dict)
    """Candidates of the pages' first tiers, by the rule that removed them."""


@dataclass(frozen=True)
class Moved:
    """An item that stands on more, or fewer, pages than before."""

    item_id: str
    title: str
    old: int
    """Pages that have it under the old rules."""
    new: int


@dataclass
class Report:
    pages: int = 0
    reproduced: int = 0
    """Pages that come out under the old rules exactly as they were shown."""
    other_generation: int = 0
    """Pages made again from another generation's lists, for their own is gone."""
    acted_since: int = 0
    """Pages of users who did something since: a newer event of an item has taken the place of an older one."""
    changed: int = 0
    """Pages that differ between the rules, be it in their order alone."""
    overlap: float = 1.0
    """Share of a page's items that are on it under both rules, on average."""
    overlap_first: float = 1.0
    """Likewise of its first five."""
    old: Side = field(default_factory=Side)
    new: Side = field(default_factory=Side)
    gained: list[Moved] = field(default_factory=list)
    """Items that are on more pages, the most gained first."""
    lost: list[Moved] = field(default_factory=list)

    @property
    def trusted(self) -> bool:
        return self.reproduced >= TRUSTED * self.pages


class Then(Lookup):
    """Looks users up as they were known at `moment`, as far as their sessions still tell."""

    moment = 0.0
    """Epoch seconds."""
    acted_since = False
    """Whether the user looked up last has done something after it."""

    def know(self, user_id: str, snapshot: Snapshot) -> Known:
        known = super().know(user_id, snapshot)
        events = tuple(event for event in known.events if event.logged_at <= self.moment)
        self.acted_since = len(events) < len(known.events)
        anchors = () if known.body is None else known.body.anchors
        hidden = tuple(event.item_no for event in events if event.event_type in HIDING_EVENTS)
        return replace(known, events=events, viewer=replace(known.viewer, hidden=hidden + anchors))


class Maker:
    """Makes pages under one set of rules as they would have been made when they were shown."""

    def __init__(self, store: Store, sessions: Sessions, settings: Serving, rules: Rules) -> None:
        self.metrics = Metrics()
        patient = settings.model_copy(update={"answer_ms": PATIENT_MS})
        self.lookup = Then(store, sessions, patient, self.metrics)
        self._recommender = Recommender(self.lookup, rules, lambda: self.lookup.moment, self.metrics)

    def page(self, snapshot: Snapshot, shown: Logged) -> Page:
        self.lookup.moment = shown.timestamp
        # The limit is not logged; but for pages that came out short, which are few, it is what was shown.
        limit = max(1, len(shown.item_ids))
        return self._recommender.home(snapshot, Request(user_id=shown.user_id, limit=limit, seed=shown.request_id))

    def counted(self, name: str, label: str) -> dict[str, int]:
        """A counter of the service's, by one of its labels."""
        found = Counter[str]()
        for family in getattr(self.metrics, name).collect():
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    found[sample.labels[label]] += int(sample.value)
        return dict(sorted((key, count) for key, count in found.items() if count))


def snapshots(control: Control, artefacts: Path) -> list[Snapshot]:
    """What can still be served: the generations that the record describes and whose artefact is on this machine.

    Raises:
        DataError: there is none.
    """
    found, problem = list[Snapshot](), "nothing has been published to this store yet: run `topshelf run`"
    for generation in control.live:
        try:
            artefact = load_artefact(artefacts, generation.artefact_id, verify=False)
        except DataError as error:
            problem = str(error)
        else:
            found.append(Snapshot(replace(control, current=generation.number), generation, artefact))
    if not found:
        raise DataError(problem)
    return found


def compare(
    shown: Sequence[Logged], worlds: Sequence[Snapshot], old: Maker, new: Maker, progress: Callable[[int], None]
) -> Report:
    """Make every page under both rules and compare.

    Args:
        shown: pages, by time: neighbours share what is worked out for a quarter of a day.
        worlds: see `snapshots`; a page whose generation is not among them is made from the nearest.
        progress: told the number of pages done.

    Raises:
        RetryableError: lists or sessions could not be read, so the pages would be those of a fault.
    """
    report, titles = Report(pages=len(shown)), dict[str, str]()
    before, after = _Tally(), _Tally()
    overlap, overlap_first = 0.0, 0.0
    for number, each in enumerate(shown, start=1):
        world = min(worlds, key=lambda one: abs(one.generation.number - each.generation))
        made, remade = old.page(world, each), new.page(world, each)
        first, second = before.add(made, len(each.item_ids)), after.add(remade, len(each.item_ids))
        report.reproduced += first == list(each.item_ids)
        report.other_generation += world.generation.number != each.generation
        report.acted_since += old.lookup.acted_since
        report.changed += first != second
        overlap += _shared(first, second)
        overlap_first += _shared(first[:FIRST], second[:FIRST])
        for item in {*made.item_no, *remade.item_no}:
            titles[world.artefact.item_ids[item]] = world.artefact.titles[item]
        progress(number)
    for maker in (old, new):
        _must_have_known(maker)
    if shown:
        report.overlap, report.overlap_first = overlap / len(shown), overlap_first / len(shown)
    report.old, report.new = before.side(old), after.side(new)
    moved = [Moved(name, title, before.items[name], after.items[name]) for name, title in sorted(titles.items())]
    moved.sort(key=lambda one: one.old - one.new)
    report.gained = [one for one in moved if one.new > one.old]
    report.lost = [one for one in reversed(moved) if one.new < one.old]
    return report


class _Tally:
    """What the pages of one side add up to."""

    def __init__(self) -> None:
        self.items = Counter[str]()
        self._tiers = Counter[str]()
        self._pages = self._short = self._genres = 0

    def add(self, page: Page, wanted: int) -> list[str]:
        """The page's item_ids."""
        artefact = page.snapshot.artefact
        item_ids = [artefact.item_ids[number] for number in page.item_no]
        self.items.update(item_ids)
        self._tiers.update(page.tier)
        self._pages += 1
        self._short += len(item_ids) < wanted
        self._genres += len(np.unique(artefact.primary_genre[page.item_no]))
        return item_ids

    def side(self, maker: Maker) -> Side:
        places = self._tiers.total()
        return Side(
            short=self._short,
            genres=self._genres / self._pages if self._pages else 0.0,
            positions={tier: count / places for tier, count in self._tiers.most_common()},
            removed=maker.counted("removed", "rule"),
        )


def _shared(one: Iterable[str], other: Iterable[str]) -> float:
    """Share of the longer one's items that both have; 1 for two empty ones."""
    first, second = set(one), set(other)
    longer = max(len(first), len(second))
    return len(first & second) / longer if longer else 1.0


def _must_have_known(maker: Maker) -> None:
    lost = sum(count for outcome, count in maker.counted("lookups", "outcome").items() if outcome in _LOST)
    if lost:
        raise RetryableError(
            f"{lost:,} look-ups of lists or sessions failed, so these pages are not what users would see: "
            "see that both stores answer, and try again"
        )
