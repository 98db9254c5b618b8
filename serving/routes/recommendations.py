"""Pages of recommendations: the caller's own, and any user's for services, one by one or up to 100 at once."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from flask import Blueprint, Response, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from serving.answers import new_request_id
from serving.auth import Caller, check_user_id, need_service
from serving.problems import Problem, bad_request, document
from serving.request import ALIKE, HOME, SEARCH
from serving.service import (
    MAX_LIMIT,
    Service,
    choice_argument,
    limit_argument,
    request_id,
    service,
    text_argument,
)
from serving.showing import Wanted, answer

blueprint = Blueprint("recommendations", __name__, url_prefix="/api/v1")
CONTEXTS = (HOME, SEARCH, ALIKE)
DEFAULT_LIMIT = 20
MAX_TEXT = 200
"""Characters of q and item_id."""
MAX_USERS = 100


@blueprint.get("/recommendations")
def own() -> Response:
    parts = service()
    caller = parts.caller()
    return _answer(parts, caller, caller.user_id)


@blueprint.get("/users/<path:user_id>/recommendations")
def of_user(user_id: str) -> Response:
    parts = service()
    caller = parts.caller()
    need_service(caller)
    try:
        check_user_id(user_id)
    except ValueError as error:
        raise bad_request(f"The address names no user: {error}.") from error
    return _answer(parts, caller, user_id)


def _answer(parts: Service, caller: Caller, user_id: str) -> Response:
    body = answer(parts, caller, user_id, _wanted(), request_id(), show=request.method != "HEAD")
    return Response(body, mimetype="application/json")


def _wanted() -> Wanted:
    context = choice_argument("context", CONTEXTS)
    limit = limit_argument(DEFAULT_LIMIT)
    # Looked at in every context: a wrong parameter is told of even where it makes no difference.
    q, item_id = text_argument("q", MAX_TEXT), text_argument("item_id", MAX_TEXT)
    cursor = request.args.get("cursor")
    if context == ALIKE:
        if item_id is None:
            raise bad_request("context=similar needs item_id, the item to be similar to.")
        return Wanted(context, limit, item_id=item_id, cursor=cursor)
    if context == SEARCH:
        if q is None:
            raise bad_request("context=search needs q, what to search for.")
        return Wanted(context, limit, q=q, cursor=cursor)
    return Wanted(context, limit, cursor=cursor)


def _whole(number: object) -> object:
    """JSON has one kind of number: 5.0 is a whole one."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


class BatchIn(BaseModel):
    """The body of POST /api/v1/users/recommendations."""

    model_config = ConfigDict(strict=True)

    user_ids: Annotated[list[str], Field(min_length=1, max_length=MAX_USERS)]
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT), BeforeValidator(_whole)] = DEFAULT_LIMIT
    context: Literal["home"] = "home"


@blueprint.post("/users/recommendations")
def of_users() -> Response:
    """An answer for each user in the order they were named; one that cannot be had spoils none of the others."""
    parts = service()
    caller = parts.caller()
    need_service(caller)
    try:
        batch = BatchIn.model_validate_json(request.get_data())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise bad_request(f"{'.'.join(map(str, first['loc'])) or 'The body'}: {first['msg']}.") from None
    parts.charge(caller, len(batch.user_ids) - 1)
    parts.snapshot()
    wanted = Wanted(batch.context, batch.limit)
    users = b",".join(_one(parts, caller, user_id, wanted) for user_id in batch.user_ids)
    return Response(b'{"users":[%s]}' % users, mimetype="application/json")


def _one(parts: Service, caller: Caller, user_id: str, wanted: Wanted) -> bytes:
    name = json.dumps(user_id).encode()
    try:
        try:
            check_user_id(user_id)
        except ValueError as error:
            raise bad_request(f"user_ids names no user: {error}.") from error
        return b'{"user_id":%s,"answer":%s}' % (name, answer(parts, caller, user_id, wanted, new_request_id()))
    except Problem as problem:
        return b'{"user_id":%s,"problem":%s}' % (name, json.dumps(document(problem)).encode())
