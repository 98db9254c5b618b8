"""Pages of recommendations: the caller's own, and any user's for services."""

from __future__ import annotations

from flask import Blueprint, Response, request

from serving.answers import new_request_id, recommendations
from serving.auth import check_user_id, need_service
from serving.problems import bad_request
from serving.request import Request
from serving.service import item_number, limit_argument, service

blueprint = Blueprint("recommendations", __name__, url_prefix="/api/v1")
CONTEXTS = ("home", "similar")
DEFAULT_LIMIT = 20


@blueprint.get("/recommendations")
def own() -> Response:
    return _answer(service().caller().user_id)


@blueprint.get("/users/<path:user_id>/recommendations")
def of_user(user_id: str) -> Response:
    need_service(service().caller())
    try:
        check_user_id(user_id)
    except ValueError as error:
        raise bad_request(f"The address names no user: {error}.") from error
    return _answer(user_id)


def _answer(user_id: str) -> Response:
    parts = service()
    context = request.args.get("context", "home")
    if context not in CONTEXTS:
        raise bad_request(f"There is no context {context[:40]!r}: the contexts are {', '.join(CONTEXTS)}.")
    limit = limit_argument(DEFAULT_LIMIT)
    request_id = new_request_id()
    asked = Request(user_id=user_id, limit=limit, seed=request_id, page=context)
    snapshot = parts.snapshot()
    if context == "similar":
        item_id = request.args.get("item_id")
        if item_id is None:
            raise bad_request("context=similar needs item_id, the item to be similar to.")
        page = parts.recommender.alike(snapshot, asked, item_number(snapshot, item_id), fill_up=True)
    else:
        page = parts.recommender.home(snapshot, asked)
    return Response(recommendations(page, request_id), mimetype="application/json")
