"""The home page as titled rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from conf.rules import ANCHOR, ShelfRule
from conf.vocabulary import Source
from serving.candidates import POPULAR, Candidates, all_of, fallbacks, of_genre, of_scope, own_tier, similar
from serving.order import Order
from serving.page import Page, cut, title
from serving.visit import Visit
from stores.records import probability

TOP = 50
"""Items of the popular list by which the genres of a user without a list are chosen."""


@dataclass(frozen=True)
class Shelf:
    kind: str
    """As in the rules."""
    title: str
    page: Page


def stack(visit: Visit) -> list[Shelf]:
    """The shelves of the rules, from the top; each has an item at least, and no item is on two.

    The request's `limit` is for each shelf. Shelves neither explore nor hold promotions: both are defined for places of
    one order.
    """
    found, shown = list[Shelf](), list[int]()
    for rule in visit.rules.shelves:
        count = 0
        for words, tiers, around in _shelves(visit, rule):
            if count == rule.rows:
                break
            order = Order(visit, tiers, diverse=rule.kind == "picked", shown=shown)
            page = cut(visit, order, around=around)
            if page.item_no:
                count += 1
                shown += page.item_no
                found.append(Shelf(rule.kind, words, page))
    return found


Row = tuple[str, Iterator[Candidates], int | None]
"""Title, what it is filled from, and the item that its items are similar to."""


def _shelves(visit: Visit, rule: ShelfRule) -> Iterator[Row]:
    """The shelves of one rule, best first: more than it has rows for, for some may turn out empty."""
    artefact = visit.snapshot.artefact
    if rule.kind == "picked" and visit.personalized:
        yield rule.title, own_tier(visit), None
    elif rule.kind == "because" and visit.personalized:
        for number in _watched(visit):
            name = title(visit, number)
            if name is not None:
                yield rule.title.replace(ANCHOR, name), iter((similar(artefact, number),)), number
    elif rule.kind == "trending":
        # Of one look, without a cursor: so it may change within a generation.
        numbers = visit.snapshot.trending
        yield rule.title, iter((Candidates(POPULAR, numbers, all_of(numbers, Source.TRENDING)),)), None
    elif rule.kind == "new":
        yield rule.title, of_scope(artefact, "new", Source.NEW), None
    elif rule.kind == "top_genre":
        for genre in _genres(visit):
            yield rule.title.replace(ANCHOR, artefact.genre_names[genre]), of_genre(artefact, genre), None
    elif rule.kind == "popular":
        yield rule.title, fallbacks(artefact, visit.known.viewer.segment), None


def _watched(visit: Visit) -> Iterator[int]:
    """What the user watched last, newest first."""
    items = len(visit.snapshot.artefact)
    recent = [event.item_no for event in visit.known.events if event.event_type == "watch"]
    anchors = visit.known.body.anchors if visit.known.body is not None else ()
    return (number for number in dict.fromkeys((*recent, *anchors)) if number < items)


def _genres(visit: Visit) -> list[int]:
    """Genres the user likes, most first: by the expected watches of their list, or else by what is popular."""
    artefact, body = visit.snapshot.artefact, visit.known.body
    if visit.personalized and body is not None and len(body.item_no):
        numbers, weight = body.item_no, probability(body.score)
    else:
        numbers = artefact.popular["global"][:TOP]
        weight = np.ones(len(numbers), np.float32)
    known = numbers < len(artefact)
    genres: NDArray[np.uint8] = artefact.primary_genre[numbers[known]]
    total = np.bincount(genres, weight[known], minlength=len(artefact.genre_names))[: len(artefact.genre_names)]
    return [int(genre) for genre in np.argsort(-total, kind="stable") if total[genre] > 0]
