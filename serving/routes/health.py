"""For those who run the service: is it up, can it serve, what has it counted."""

from __future__ import annotations

import json

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST

from serving.problems import Problem, unavailable
from serving.service import service

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def alive() -> Response:
    return Response('{"status":"ok"}', mimetype="application/json")


@blueprint.get("/readyz")
def ready() -> Response:
    """Ready: an artefact is loaded and the last look at the control record worked.

    Where trying again cannot help, the answer has no Retry-After.
    """
    follower = service().follower
    if follower.snapshot is None or follower.problem is not None:
        detail = f"Not ready: {follower.problem}"
        raise Problem(503, "unavailable", detail) if follower.lasting else unavailable(detail)
    body = {"status": "ready", "generation": follower.snapshot.generation.number}
    return Response(json.dumps(body), mimetype="application/json")


@blueprint.get("/metrics")
def metrics() -> Response:
    return Response(service().metrics.exposition(), content_type=CONTENT_TYPE_LATEST)
