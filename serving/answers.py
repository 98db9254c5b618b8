"""Pages as JSON, joined from the pieces that the artefact holds ready-made."""

from __future__ import annotations

import json
import secrets
from functools import lru_cache

from serving.page import Page

REQUEST_ID_BYTES = 8


@lru_cache(maxsize=1 << 16)
def _text(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def new_request_id() -> str:
    return f"req_{secrets.token_hex(REQUEST_ID_BYTES)}"


def recommendations(page: Page, request_id: str) -> bytes:
    """The body of a recommendations answer."""
    generation = page.snapshot.generation
    fragments = page.snapshot.artefact.fragments
    items = b",".join(
        b'{%s,"score":%.4f,"reason":%s}' % (fragments[number], score, _text(reason))
        for number, score, reason in zip(page.item_no, page.score, page.reason, strict=True)
    )
    return (
        b'{"recommendations":[%s],"request_id":%s,"model_version":%s,"generation":%d,"generated_at":%s,"source":%s%s}'
        % (
            items,
            _text.__wrapped__(request_id),
            _text(generation.model_version),
            generation.number,
            _text(generation.made_at),
            _text(page.source),
            b"" if page.age_seconds is None else b',"age_seconds":%d' % page.age_seconds,
        )
    )


def similar_items(page: Page) -> bytes:
    """The body of a similar-items answer."""
    artefact = page.snapshot.artefact
    items = [
        {"item_id": artefact.item_ids[number], "title": artefact.titles[number], "similarity_score": round(score, 4)}
        for number, score in zip(page.item_no, page.score, strict=True)
    ]
    return json.dumps({"similar_items": items}, ensure_ascii=False, separators=(",", ":")).encode()
