"""The recommender in the words of `Request`: pages that begin anywhere, search hits, shelves."""

from __future__ import annotations

from dataclasses import dataclass, fields

from serving.follower import Snapshot
from serving.page import Page, Whole
from serving.recommender import Recommender
from serving.request import Request
from serving.service import Hits


@dataclass(frozen=True)
class Shelf:
    title: str
    page: Page


class Adapter:
    def __init__(self, inner: Recommender) -> None:
        self._inner = inner

    def home(self, snapshot: Snapshot, request: Request) -> Page:
        assert request.user_id is not None
        return _cut(self._inner.home(snapshot, request.user_id, request.offset + request.limit + 1), request)

    def alike(self, snapshot: Snapshot, request: Request, item_no: int, fill_up: bool) -> Page:
        limit = request.offset + request.limit + 1
        return _cut(self._inner.alike(snapshot, item_no, request.user_id, limit, fill_up), request)

    def found(self, snapshot: Snapshot, request: Request, found: Hits) -> Page:
        assert request.user_id is not None
        whole = self._inner.home(snapshot, request.user_id, len(snapshot.artefact))
        place = {number: index for index, number in enumerate(whole.item_no)}
        return _cut(whole, request, [place[number] for number in found.item_no.tolist() if number in place])

    def shelves(self, snapshot: Snapshot, request: Request) -> list[Shelf]:
        return [Shelf("Picked for you", self.home(snapshot, request))]


def _cut(whole: Whole, request: Request, order: list[int] | None = None) -> Page:
    order = list(range(len(whole.item_no))) if order is None else order
    kept = order[request.offset : request.offset + request.limit]
    rest = {field.name: getattr(whole, field.name) for field in fields(Whole)}
    for name in ("item_no", "score", "reason"):
        rest[name] = [rest[name][index] for index in kept]
    end = request.offset + len(kept)
    return Page(
        **rest,
        tier=[whole.source] * len(kept),
        propensity=[1.0] * len(kept),
        offset=request.offset,
        next_offset=end,
        more=len(order) > end,
        as_of=request.as_of or 0.0,
        assigned="personalized",
    )
