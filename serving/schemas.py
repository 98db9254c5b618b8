"""The JSON that the service takes and gives, as JSON Schema (2020-12, the dialect of OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from conf.vocabulary import EVENT_TYPES
from serving.request import POPULAR
from serving.routes.recommendations import DEFAULT_LIMIT, MAX_USERS
from serving.service import MAX_LIMIT
from stores.base import MAX_USER_ID_BYTES, VARIANTS

Schema = dict[str, Any]
ASSIGNED = (*VARIANTS, POPULAR)
SOURCES = ("personalized", "cached", "session", "similar", "search", "segment", "popular")
MAX_EVENTS = 500
REQUEST_ID_EXAMPLE = "req_0f3a5b1c9d7e2468"
CURSOR_PATTERN = "^[A-Za-z0-9_-]{36}$"
USER_ID: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_USER_ID_BYTES, "examples": ["user_42"]}
ITEM_ID: Schema = {"type": "string", "minLength": 1, "examples": ["movie_123"]}
LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 200}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(description: str, members: Schema, optional: tuple[str, ...] = (), **further: Any) -> Schema:
    required = [name for name in members if name not in optional]
    return {"type": "object", "description": description, "properties": members, "required": required, **further}


def _list(items: Schema, description: str, **further: Any) -> Schema:
    return {"type": "array", "items": items, "description": description, **further}


def _or_null(kind: str, description: str, **further: Any) -> Schema:
    return {"type": [kind, "null"], "description": description, **further}


_MADE: Schema = {
    "request_id": {
        "type": "string",
        "pattern": "^req_[0-9a-f]{16}$",
        "description": "Of this answer. Send it back in the events that follow from it, as context.recommendation_id.",
        "examples": [REQUEST_ID_EXAMPLE],
    },
    "model_version": {"type": "string", "description": "Of the model that made the lists.", "examples": ["v3"]},
    "generation": {
        "type": "integer",
        "minimum": 1,
        "description": "Number of the publication that the answer is made from.",
        "examples": [41],
    },
    "generated_at": {
        "type": "string",
        "format": "date-time",
        "description": "When the lists of this generation were made.",
        "examples": ["2026-11-23T06:04:11+00:00"],
    },
    "source": {
        "enum": list(SOURCES),
        "description": "The first tier that gave the page an item; it is filled up from wider ones.",
        "examples": ["personalized"],
    },
    "assigned": {
        "enum": list(ASSIGNED),
        "description": "The variant that the user belongs to: the deployed model's lists, those of a model that is "
        "being tried, or for good the popular ones.",
        "examples": ["champion"],
    },
    "variant": {
        "enum": list(ASSIGNED),
        "description": "The variant that the answer is of: popular also where there was no list to be had.",
        "examples": ["champion"],
    },
}
_RECOMMENDATIONS = _list(ref("Recommendation"), "Best first.", maxItems=MAX_LIMIT)
_TITLE: Schema = {"type": "string", "examples": ["The Matrix"]}
_REFLECTED: Schema = {
    "event_id": {"type": "string", "description": "Its id in the table events.", "examples": ["5d0c8a7e41f2b396"]},
    "reflected": {
        "type": "boolean",
        "description": "Whether the next answer of any worker takes it into account. False: it is kept all the same.",
    },
    "kept": {
        "type": "boolean",
        "description": "False: its user was forgotten, so that it was not kept. Else left out.",
    },
}

SCHEMAS: Schema = {
    "Recommendation": _object(
        "An item, and why it is recommended.",
        {
            "item_id": ITEM_ID,
            "title": _TITLE,
            "thumbnail": _or_null("string", "Address of a picture.", examples=["https://example.com/matrix.jpg"]),
            "metadata": ref("Metadata"),
            "score": {
                "type": "number",
                "description": "The chance that the item is watched when shown, where the model learnt from "
                "impressions; else only its order means something.",
                "examples": [0.95],
            },
            "reason": {"type": "string", "examples": ["Because you watched Inception"]},
        },
    ),
    "Metadata": _object(
        "What the catalogue says about an item.",
        {
            "genre": _list({"type": "string"}, "The first is the primary one.", examples=[["Sci-Fi", "Action"]]),
            "year": _or_null("integer", "Of its release.", examples=[1999]),
            "rating": _or_null("string", "Age rating.", examples=["R"]),
        },
    ),
    "Recommendations": _object(
        "A page of recommendations.",
        {
            "recommendations": _RECOMMENDATIONS,
            **_MADE,
            "age_seconds": {
                "type": "integer",
                "minimum": 0,
                "description": "Where source is cached: how long ago the list was read.",
            },
            "next_cursor": {
                "type": "string",
                "pattern": CURSOR_PATTERN,
                "description": "Leads to the next page; absent on the last.",
                "examples": ["AQAAACkAFLwjZg5B2sD11tAAAA86WxydfiRo"],
            },
        },
        optional=("next_cursor", "age_seconds"),
    ),
    "Shelf": _object(
        "A titled row of the home page.",
        {
            "title": {"type": "string", "examples": ["Because you watched Inception"]},
            "recommendations": _RECOMMENDATIONS,
        },
    ),
    "Home": _object(
        "The home page. No item stands on two shelves.",
        {"shelves": _list(ref("Shelf"), "From top to bottom."), **_MADE},
    ),
    "SimilarItems": _object(
        "Items similar to one.",
        {"similar_items": _list(ref("SimilarItem"), "Most similar first.", maxItems=MAX_LIMIT)},
    ),
    "SimilarItem": _object(
        "An item, and how similar it is.",
        {
            "item_id": {**ITEM_ID, "examples": ["movie_456"]},
            "title": {**_TITLE, "examples": ["Blade Runner"]},
            "similarity_score": {"type": "number", "examples": [0.89]},
        },
    ),
    "Users": _object(
        "Whose recommendations a service asks for. Other members are ignored.",
        {
            "user_ids": _list(
                {"type": "string", "examples": ["user_42"]},
                "Answered in this order; one that is no user id is answered with a problem.",
                minItems=1,
                maxItems=MAX_USERS,
            ),
            "limit": {**LIMIT, "default": DEFAULT_LIMIT, "description": "Items for each user."},
            "context": {"enum": ["home"], "default": "home"},
        },
        optional=("limit", "context"),
    ),
    "UsersAnswer": _object(
        "An answer or a problem for each user, in the order they were named.",
        {"users": _list({"oneOf": [ref("UserAnswer"), ref("UserProblem")]}, "One entry a user.", maxItems=MAX_USERS)},
    ),
    "UserAnswer": _object("A user's page.", {"user_id": {"type": "string"}, "answer": ref("Recommendations")}),
    "UserProblem": _object("Why a user has no page.", {"user_id": {"type": "string"}, "problem": ref("Problem")}),
    "Event": _object(
        "What the token's user did.",
        {
            "event_type": {"enum": list(EVENT_TYPES), "examples": ["watch"]},
            "item_id": {**_NAME, "description": "An item of the catalogue.", "examples": ["movie_123"]},
            "user_id": _or_null(
                "string",
                "Who did it, where a service tells; a user tells of themselves only.",
                minLength=1,
                maxLength=MAX_USER_ID_BYTES,
            ),
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "description": "When it happened, with a time zone; neither far in the future nor long ago.",
                "examples": ["2026-11-23T15:30:00Z"],
            },
            "event_id": {
                **_NAME,
                "type": ["string", "null"],
                "description": "Your id of the event. Without one, user, type, item and timestamp stand for it. "
                "Sending an event again is safe.",
            },
            "watch_duration_sec": _or_null("integer", "Of a watch.", minimum=0, maximum=1_000_000),
            "completed": _or_null("boolean", "Whether a watch went to the end."),
            "rating": _or_null("number", "Needed for rate.", minimum=0.5, maximum=5, examples=[4.5]),
            "context": ref("EventContext"),
        },
        optional=("user_id", "event_id", "watch_duration_sec", "completed", "rating", "context"),
        additionalProperties=False,
    ),
    "EventContext": _object(
        "Where it happened.",
        {
            "device": {**_NAME, "type": ["string", "null"], "examples": ["tv"]},
            "page": {**_NAME, "type": ["string", "null"], "examples": ["home"]},
            "position": _or_null("integer", "Place on the page, from 0.", minimum=0, maximum=10_000, examples=[3]),
            "recommendation_id": {
                **_NAME,
                "type": ["string", "null"],
                "description": "request_id of the answer that showed the item.",
                "examples": [REQUEST_ID_EXAMPLE],
            },
            "model_version": {**_NAME, "type": ["string", "null"], "examples": ["v3"]},
        },
        optional=("device", "page", "position", "recommendation_id", "model_version"),
        additionalProperties=False,
    ),
    "Events": _object(
        "Up to 500 events of the token's user, taken all or none.",
        {"events": _list(ref("Event"), "In any order.", minItems=1, maxItems=MAX_EVENTS)},
        additionalProperties=False,
    ),
    "EventTaken": _object("An event that was taken.", _REFLECTED, optional=("kept",)),
    "EventsTaken": _object(
        "Events that were taken, in the order they were sent.",
        {"events": _list(ref("EventTaken"), "One entry an event.", maxItems=MAX_EVENTS)},
    ),
    "Alive": _object("The process is up.", {"status": {"const": "ok"}}),
    "Ready": _object("It can serve.", {"status": {"enum": ["ready", "degraded"]}, "generation": _MADE["generation"]}),
    "Problem": _object(
        "An error, as in RFC 9457.",
        {
            "type": {"type": "string", "pattern": "^/problems/[a-z-]+$", "description": "Which problem it is."},
            "title": {"type": "string", "description": "What the status means."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What is wrong here; it names the parameter or member."},
        },
    ),
}
