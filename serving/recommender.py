"""Pages for users: what is known of them, the order that follows from it, and the page cut from that.

Used by the HTTP service and by `topshelf recs` alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from conf.rules import Rules
from models.rerank import Bar
from serving.candidates import Candidates, fallbacks, home_tiers, of_genre, similar
from serving.eligibility import Eligibility
from serving.exploration import explores
from serving.hits import hits
from serving.lookup import STRANGER, Known, Lookup, Outcome
from serving.memo import Made, PageMemo, basis
from serving.metrics import Metrics
from serving.order import FirstTier, Order
from serving.page import Page, cut
from serving.request import HOME, Request
from serving.shelves import Shelf, stack
from serving.snapshot import Snapshot
from serving.tracing import Trace, explain
from serving.visit import Visit, begin, time_of


class Found(Protocol):
    """Search hits."""

    @property
    def item_no(self) -> NDArray[np.int32]:
        """(n,) each once."""

    @property
    def score(self) -> NDArray[np.float32]:
        """(n,) of the text, ≥ 0."""


class Recommender:
    """Makes pages. Thread-safe. Equal requests at equal times, with nothing new known of the user, give equal pages.

    Pages of one order (`Request`) repeat no item, whatever the user does between them, as long as their events arrive
    in the order in which they happened and hide no item anew: a session keeps the newest event that hides an item, so
    one that was watched before the first page and rated after it is taken for open at that time, and moves the rest by
    one place.

    clock: epoch seconds; it decides about licences, promotions and the context term.
    memo: gives home pages again that would be made the same; None: every page is made anew.
    """

    def __init__(
        self,
        lookup: Lookup,
        rules: Rules,
        clock: Callable[[], float],
        metrics: Metrics,
        memo: PageMemo | None = None,
    ) -> None:
        self._lookup = lookup
        self._rules = rules
        self._clock = clock
        self._metrics = metrics
        self._memo = memo
        self._eligibility = Eligibility(rules)
        self._removed = {bar: metrics.removed.labels(bar.label) for bar in list(Bar)[1:]}

    def prepare(self, snapshot: Snapshot) -> None:
        """Work out what rules read of a snapshot's artefact. Without it, the first page does."""
        self._eligibility.catalogue(snapshot.artefact)

    def home(self, snapshot: Snapshot, request: Request) -> Page:
        """The user's home page: their own list, filled up from their segment's and the popular items."""
        user_id, memo = request.user_id, self._memo
        first = request.offset == 0 and request.as_of is None and request.page == HOME
        if user_id is None or memo is None or not first or explores(self._rules.exploration, request.seed):
            return self._home(snapshot, self._know(snapshot, request), request)[0]
        looked, now = self._lookup.look(user_id, snapshot), self._clock()
        as_of = time_of(now, looked.events)
        mine = snapshot.of(looked.variant)
        found = basis(mine, looked.ring, looked.events, request, as_of) if looked.age_seconds is None else None
        made = None if found is None else memo.get(user_id, found, now, as_of)
        if made is not None:
            self._lookup.count(made.page.outcome)
            self._count(made.page, made.first, request)
            self._metrics.remembered_pages.inc()
            return replace(made.page, as_of=as_of)
        page, order = self._home(snapshot, self._lookup.known(looked, snapshot), request)
        if found is not None and looked.outcome is Outcome.FOUND:
            memo.put(user_id, Made(found, order.bars.since, order.bars.before, page, order.first))
        return page

    def _home(self, snapshot: Snapshot, known: Known, request: Request) -> tuple[Page, Order]:
        visit = self._begin(snapshot, known, request)
        order = Order(visit, home_tiers(visit), diverse=True, pins=True, draws=True)
        return self._page(visit, order), order

    def alike(self, snapshot: Snapshot, request: Request, item_no: int, fill_up: bool) -> Page:
        """Items similar to one, most similar first. The diversity rules do not hold: they are meant to be alike.

        fill_up: add popular items, of its genre first, where the similar ones do not fill the page, and promotions.
        """
        known = self._know(snapshot, request)
        artefact = snapshot.of(known.variant).artefact
        tiers: Iterable[Candidates] = (similar(artefact, item_no),)
        if fill_up:
            genre = int(artefact.primary_genre[item_no])
            tiers = chain(tiers, of_genre(artefact, genre), fallbacks(artefact, known.viewer.segment))
        visit = self._begin(snapshot, known, request, exclude=(item_no,))
        return self._page(visit, Order(visit, tiers, pins=fill_up), around=item_no)

    def found(self, snapshot: Snapshot, request: Request, found: Found) -> Page:
        """Search hits in the order of text and taste (`candidates.hits`). Nothing is added that does not match."""
        visit = self._begin(snapshot, self._know(snapshot, request), request)
        return self._page(visit, Order(visit, (hits(visit, found.item_no, found.score),), pins=True))

    def shelves(self, snapshot: Snapshot, request: Request) -> list[Shelf]:
        """The home page as titled rows of `limit` items each at most; see `serving.shelves.stack`."""
        return stack(self._begin(snapshot, self._know(snapshot, request), request))

    def explain(self, snapshot: Snapshot, request: Request, item_no: int) -> Trace:
        """Why an item is where it is on the home page of the request, or is not; see `serving.tracing.explain`."""
        return explain(self._begin(snapshot, self._know(snapshot, request), request), item_no)

    def _know(self, snapshot: Snapshot, request: Request) -> Known:
        if request.user_id is None:
            return STRANGER
        return self._lookup.know(request.user_id, snapshot)

    def _begin(self, snapshot: Snapshot, known: Known, request: Request, exclude: Iterable[int] = ()) -> Visit:
        return begin(self._eligibility, self._rules, snapshot, known, request, self._clock(), exclude)

    def _page(self, visit: Visit, order: Order, around: int | None = None) -> Page:
        now = None
        if visit.request.as_of is not None:
            now = visit.at(self._eligibility, self._clock())
        page = cut(visit, order, now, around)
        self._count(page, order.first, visit.request)
        return page

    def _count(self, page: Page, first: FirstTier, request: Request) -> None:
        if len(page.item_no) < request.limit:
            self._metrics.short_pages.inc()
        self._metrics.pages.labels(page.source).inc()
        if request.offset == 0:
            for bar, number in first.removed.items():
                self._removed[bar].inc(number)
            if first.left < request.limit <= first.candidates:
                self._metrics.depleted_pages.inc()
