"""The home page as titled shelves."""

from __future__ import annotations

from flask import Blueprint, Response, request

from serving.answers import home
from serving.request import HOME, SHELVES
from serving.service import limit_argument, request_id, service
from serving.showing import Wanted, asking, written

blueprint = Blueprint("home", __name__, url_prefix="/api/v1")
DEFAULT_LIMIT = 20


@blueprint.get("/home")
def own() -> Response:
    """`limit` is for each shelf. An item stands on one shelf at most."""
    parts = service()
    caller = parts.caller()
    wanted = Wanted(HOME, limit_argument(DEFAULT_LIMIT))
    snapshot = parts.snapshot()
    made = parts.recommender.shelves(snapshot, asking(caller, caller.user_id, wanted, request_id()))
    if request.method != "HEAD":
        written(parts, [shelf.page for shelf in made], caller.user_id, SHELVES, request_id())
    return Response(home(snapshot, made, request_id()), mimetype="application/json")
