"""What the catalogue knows about an item."""

from __future__ import annotations

from flask import Blueprint, Response, request

from serving.answers import similar_items
from serving.service import item_number, limit_argument, service

blueprint = Blueprint("items", __name__, url_prefix="/api/v1/items")
DEFAULT_LIMIT = 10


@blueprint.get("/<path:item_id>/similar")
def similar(item_id: str) -> Response:
    """A token is optional: without one the viewer is unknown, so the strictest filters hold."""
    parts = service()
    user_id = parts.caller().user_id if "Authorization" in request.headers else None
    limit = limit_argument(DEFAULT_LIMIT)
    snapshot = parts.snapshot()
    page = parts.recommender.alike(snapshot, item_number(snapshot, item_id), user_id, limit, fill_up=False)
    return Response(similar_items(page), mimetype="application/json")
