"""Pages as JSON, joined from the pieces that the artefact holds ready-made."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from serving.page import Page
from serving.snapshot import Snapshot

REQUEST_ID_PREFIX = "req_"
REQUEST_ID_BYTES = 8
_NOTHING = b'"source":"popular","assigned":"champion","variant":"popular"'
"""Of a home page without a shelf."""


class Shelf(Protocol):
    """A titled row of a home page."""

    @property
    def title(self) -> str: ...

    @property
    def page(self) -> Page: ...


@lru_cache(maxsize=1 << 16)
def _text(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def new_request_id() -> str:
    return f"{REQUEST_ID_PREFIX}{secrets.token_hex(REQUEST_ID_BYTES)}"


def recommendations(page: Page, request_id: str, next_cursor: str | None = None) -> bytes:
    """The body of a recommendations answer. next_cursor: None where there is no next page."""
    following = b"" if next_cursor is None else b',"next_cursor":"%s"' % next_cursor.encode()
    return b'{"recommendations":[%s],%s,%s%s%s}' % (
        _items(page),
        _made(page.snapshot, request_id),
        _of(page),
        b"" if page.age_seconds is None else b',"age_seconds":%d' % page.age_seconds,
        following,
    )


def home(snapshot: Snapshot, shelves: Sequence[Shelf], request_id: str) -> bytes:
    """The body of a home answer. Its source is that of the first shelf."""
    joined = b",".join(b'{"title":%s,"recommendations":[%s]}' % (_text(one.title), _items(one.page)) for one in shelves)
    made = _made(shelves[0].page.snapshot if shelves else snapshot, request_id)
    return b'{"shelves":[%s],%s,%s}' % (joined, made, _of(shelves[0].page) if shelves else _NOTHING)


def _of(page: Page) -> bytes:
    return b'"source":%s,"assigned":%s,"variant":%s' % (_text(page.source), _text(page.assigned), _text(page.variant))


def _items(page: Page) -> bytes:
    fragments = page.snapshot.artefact.fragments.take(page.item_no)
    # A list, for a join runs through a generator at half the speed.
    return b",".join(
        [
            b'{%b,"score":%.4f,"reason":%b}' % (fragment, score, _text(reason))
            for fragment, score, reason in zip(fragments, page.score, page.reason, strict=True)
        ]
    )


def _made(snapshot: Snapshot, request_id: str) -> bytes:
    generation = snapshot.generation
    return b'"request_id":"%s","model_version":%s,"generation":%d,"generated_at":%s' % (
        request_id.encode(),
        _text(generation.model_version),
        generation.number,
        _text(generation.made_at),
    )


def similar_items(page: Page) -> bytes:
    """The body of a similar-items answer."""
    artefact = page.snapshot.artefact
    items = [
        {"item_id": artefact.item_ids[number], "title": artefact.titles[number], "similarity_score": round(score, 4)}
        for number, score in zip(page.item_no, page.score, strict=True)
    ]
    return json.dumps({"similar_items": items}, ensure_ascii=False, separators=(",", ":")).encode()
