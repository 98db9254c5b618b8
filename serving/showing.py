"""Pages for callers, as routes and the batch look-up make them: asked for, answered, written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from serving import cursor
from serving.answers import recommendations
from serving.auth import Caller
from serving.page import Page
from serving.problems import bad_request
from serving.request import HOME, Request
from serving.service import Service, item_number
from serving.snapshot import Snapshot

SEARCH_HITS = 200
"""Of a search, the best by text; a viewer's taste orders these. The same for all pages, so that they have one order."""


@dataclass(frozen=True)
class Wanted:
    """What a request asks for."""

    context: str
    limit: int
    item_id: str | None = None
    """With the context similar."""
    q: str | None = None
    """With the context search."""
    cursor: str | None = None

    def about(self, user_id: str) -> str:
        """What all pages of one cursor have in common."""
        return "\x1f".join((self.context, user_id, self.item_id or "", self.q or ""))


def asking(caller: Caller, user_id: str | None, wanted: Wanted, seed: str) -> Request:
    """A first page for `user_id`, as far as the caller's token lets them see."""
    return Request(
        user_id=user_id,
        limit=wanted.limit,
        seed=seed,
        page=wanted.context,
        maturity_limit=caller.maturity_limit,
        region=caller.region,
        tier=caller.tier,
    )


def answer(parts: Service, caller: Caller, user_id: str, wanted: Wanted, request_id: str, show: bool = True) -> bytes:
    """The body of a recommendations answer.

    show: whether somebody will see it, so that it is written down as shown.

    Raises:
        Problem: 400 or 410, the cursor is wrong or of a generation that is gone; 404, there is no such item; 503.
    """
    about, place = wanted.about(user_id), None
    asked = asking(caller, user_id, wanted, request_id)
    if wanted.cursor is None:
        snapshot = parts.snapshot()
    else:
        place = cursor.read(wanted.cursor, about)
        kept = parts.snapshot_of(place.generation)
        if kept is None:
            raise cursor.expired()
        cursor.check_time(place, kept.generation.made_at, parts.clock())
        snapshot, asked = kept, replace(asked, offset=place.offset, seed=place.seed, as_of=place.as_of)
    page = _page(parts, snapshot, asked, wanted)
    if place is not None and place.variant != page.snapshot.variant:
        raise cursor.expired()  # a rollout took a step since the first page, which was of another list
    if show:
        written(parts, [page], user_id, wanted.context, request_id)
    following = None
    if page.more:
        place = cursor.Place(
            snapshot.generation.number, page.next_offset, asked.seed, page.as_of, page.snapshot.variant
        )
        following = cursor.write(place, about)
    return recommendations(page, request_id, following)


def _page(parts: Service, snapshot: Snapshot, asked: Request, wanted: Wanted) -> Page:
    if wanted.item_id is not None:
        return parts.recommender.alike(snapshot, asked, item_number(snapshot, wanted.item_id), fill_up=True)
    if wanted.q is not None:
        if parts.searcher is None:
            raise bad_request("context=search is not offered by this service.")
        hits = parts.searcher.search(snapshot, wanted.q, SEARCH_HITS)
        if hits.available:
            return parts.recommender.found(snapshot, asked, hits)
    # A search whose index cannot be read is answered by the home page, and the answer's source says so.
    return parts.recommender.home(snapshot, replace(asked, page=HOME))


def written(parts: Service, pages: Sequence[Page], user_id: str, context: str, request_id: str) -> None:
    """Write an answer down as shown: one page, or the shelves of one, from the top."""
    if parts.shown is None or not pages:
        return
    first, items = pages[0], [number for page in pages for number in page.item_no]
    # A propensity is that of an item's place, so the place is what goes with it. Shelves are no one order.
    places = first.places if len(pages) == 1 else range(len(items))
    parts.shown.add(
        {
            "request_id": request_id,
            # The log names nobody who was forgotten. Asked of what is served now: a cursor's snapshot may be older.
            "user_id": None if parts.snapshot().bars(user_id) else user_id,
            "context": context,
            "timestamp": parts.clock(),
            "item_no": items,
            "catalogue": first.snapshot.artefact.item_ids,
            "positions": places,
            "propensities": [share for page in pages for share in page.propensity],
            "tiers": [tier for page in pages for tier in page.tier],
            "generation": first.snapshot.generation.number,
            "model_version": first.snapshot.generation.model_version,
            "assigned": first.assigned,
            "variant": first.variant,
            "offset": first.offset,
        }
    )
