"""What the catalogue knows about an item."""

from __future__ import annotations

from flask import Blueprint, Response, request

from serving.answers import new_request_id, similar_items
from serving.request import Request
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
    asked = Request(user_id=user_id, limit=limit, seed=new_request_id(), page="similar")
    page = parts.recommender.alike(snapshot, asked, item_number(snapshot, item_id), fill_up=False)
    return Response(similar_items(page), mimetype="application/json")
