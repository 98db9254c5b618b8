"""What the page shows of a user, in types of JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from cli.inspecting.desk import Desk
from conf.errors import TopshelfError
from conf.vocabulary import LABELS
from models.rerank import OPEN, Bar
from serving.lookup import Known
from serving.page import Page
from serving.request import Request
from serving.snapshot import Snapshot
from serving.tracing import explain
from serving.visit import Visit
from stores.artefact import Artefact
from stores.base import RING, newest
from stores.control import Control
from stores.records import CorruptRecord, StoredList, decode_row, probability

RING_ITEMS = 40
"""Shown of each list of the ring."""
PARTS = ("log_odds", "context", "freshness", "similar", "genre")


def state(desk: Desk, snapshot: Snapshot) -> dict[str, Any]:
    made = snapshot.generation
    return {
        "generation": made.number,
        "hour": made.hour,
        "model": made.model_version,
        "made_at": made.made_at,
        "items": len(snapshot.artefact),
        "takedowns": len(snapshot.control.takedowns),
        "problem": desk.problem,
    }


def user(desk: Desk, snapshot: Snapshot, known: Known, request: Request) -> dict[str, Any]:
    """The user's profile, session, page and ring, as they are now."""
    assert request.user_id is not None
    visit = desk.visit(snapshot, request, known)
    page = desk.home(snapshot, request)
    items = _items(visit, page)
    return {
        "user_id": request.user_id,
        "profile": _profile(visit),
        "session": [
            {
                **item(snapshot.artefact, event.item_no),
                "event_type": event.event_type,
                "rating": None,  # a session keeps no stars, and the item's own is not the user's
                "timestamp": _text(event.timestamp),
                "in_list": event.timestamp <= known.watermark,
            }
            for event in known.events
        ],
        "items": items,
        "rules": _rules(visit, items),
        "source": page.source,
        **_ring(desk, snapshot, request.user_id),
    }


def item(artefact: Artefact, number: int) -> dict[str, Any]:
    """What an answer says of any item; an item newer than the artefact is a number."""
    if number >= len(artefact):
        return {"item_id": None, "title": f"item number {number}, newer than this catalogue", "genres": []}
    members = json.loads(b"{%s}" % artefact.fragments[number])
    facts = members.pop("metadata")
    return {**members, "genres": facts["genre"], "year": facts["year"], "rating": facts["rating"]}


def _profile(visit: Visit) -> dict[str, Any]:
    known = visit.known
    return {
        "list": known.outcome.value,
        "items": None if known.body is None else len(known.body.item_no),
        "maturity_limit": visit.limits.maturity,
        "region": None if known.body is None else known.body.region,
        "segment": known.viewer.segment,
        "watermark": _text(known.watermark) if known.body is not None else None,
        "assigned": visit.assigned,
        "hidden": len(visit.hidden),
    }


def _items(visit: Visit, page: Page) -> list[dict[str, Any]]:
    found = []
    for number, score, reason, tier in zip(page.item_no, page.score, page.reason, page.tier, strict=True):
        trace = explain(visit, number)
        found.append(
            {
                **item(visit.snapshot.artefact, number),
                "score": round(score, 4),
                "reason": reason,
                "tier": tier,
                "held_by": trace.held_by,
                "propensity": trace.propensity,
                "parts": {name: getattr(trace, name) for name in PARTS},
            }
        )
    return found


def _rules(visit: Visit, items: list[dict[str, Any]]) -> dict[str, Any]:
    """What the rules did: to the stored list, and on the page."""
    body, removed = visit.known.body, []
    if body is not None:
        bars = visit.barred(body.item_no, np.zeros(0, np.int32))
        removed = [
            {**item(visit.snapshot.artefact, number), "rule": Bar(bar).label}
            for number, bar in zip(body.item_no.tolist(), bars.tolist(), strict=True)
            if bar != OPEN
        ]
    return {"removed": removed, "held": dict(Counter(one["held_by"] for one in items if one["held_by"]))}


def _ring(desk: Desk, snapshot: Snapshot, user_id: str) -> dict[str, Any]:
    """The ring, or why there is none to be had: the page is answered all the same."""
    try:
        return {"ring": ring(snapshot, desk.store.ring(user_id)), "ring_problem": None}
    except TopshelfError as error:
        return {"ring": [], "ring_problem": str(error)}


def ring(snapshot: Snapshot, rows: Mapping[int, bytes]) -> list[dict[str, Any]]:
    """All places of a user's ring, which of them is shown, and why the others are not."""
    readable: dict[int, StoredList] = {}
    broken: dict[int, str] = {}
    for place, blob in rows.items():
        try:
            readable[place] = decode_row(blob)
        except CorruptRecord as error:
            broken[place] = str(error)
    shown = next((place for place in newest(rows, snapshot.control) if place in readable), None)
    return [_place(snapshot, place, readable.get(place), broken.get(place), shown) for place in range(RING)]


def _place(
    snapshot: Snapshot, place: int, row: StoredList | None, broken: str | None, shown: int | None
) -> dict[str, Any]:
    if row is None:
        why = "empty" if broken is None else f"cannot be read, so it is passed over: {broken}"
        return {"place": place, "shown": False, "why": why, "generation": None, "items": []}
    body = row.body
    columns = (body.item_no.tolist(), body.source.tolist(), probability(body.score).tolist())
    listed = [
        {**item(snapshot.artefact, number), "source": LABELS[source], "score": round(score, 3)}
        for number, source, score in list(zip(*columns, strict=True))[:RING_ITEMS]
    ]
    return {
        "place": place,
        "shown": place == shown,
        "why": "shown: the newest that readers may see" if place == shown else _why(snapshot.control, row.generation),
        "generation": row.generation,
        "watermark": _text(row.watermark),
        "count": len(body.item_no),
        "items": listed,
    }


def _why(control: Control, generation: int) -> str:
    if generation in control.bad:
        return "not shown: its generation is bad, or was rolled back from"
    if generation in control.aborted:
        return "not shown: its publication was given up"
    if generation > control.current:
        under_way = generation == control.lease
        return "not shown: being loaded, readers are not there yet" if under_way else "not shown: never switched to"
    return "not shown: a newer list is"


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
