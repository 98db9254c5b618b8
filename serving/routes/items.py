"""What the catalogue knows about an item."""

from __future__ import annotations

import zlib

from flask import Blueprint, Response, request

from serving.answers import similar_items
from serving.request import ALIKE, Request
from serving.service import item_number, limit_argument, request_id, service
from serving.showing import Wanted, asking, written

blueprint = Blueprint("items", __name__, url_prefix="/api/v1/items")
DEFAULT_LIMIT = 10


@blueprint.get("/<path:item_id>/similar")
def similar(item_id: str) -> Response:
    """A token is optional: without one the viewer is unknown, so the strictest filters hold."""
    parts = service()
    caller = parts.caller_if_any()
    wanted = Wanted(ALIKE, limit_argument(DEFAULT_LIMIT))
    snapshot = parts.snapshot()
    number = item_number(snapshot, item_id)
    if caller is None:
        asked = Request(user_id=None, limit=wanted.limit, seed=request_id(), page=wanted.context)
        body = similar_items(parts.recommender.alike(snapshot, asked, number, fill_up=False))
        return _for_anybody(body, snapshot.generation.number)
    asked = asking(caller, caller.user_id, wanted, request_id())
    page = parts.recommender.alike(snapshot, asked, number, fill_up=False)
    if request.method != "HEAD":
        written(parts, [page], caller.user_id, wanted.context, request_id())
    return Response(similar_items(page), mimetype="application/json")


def _for_anybody(body: bytes, generation: int) -> Response:
    """An answer that caches may keep, if they ask before each use: within a generation a licence ends, an item is
    taken down, so the tag has the generation and what the answer says.
    """
    response = Response(body, mimetype="application/json")
    response.set_etag(f"{generation}-{zlib.crc32(body):08x}", weak=True)
    response.headers["Cache-Control"] = "public, no-cache"
    response.headers["Vary"] = "Authorization"
    response.make_conditional(request.environ)
    return response
