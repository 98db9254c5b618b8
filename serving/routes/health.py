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
    """Ready: there is something to serve, be it the last known generation.

    That the store is away makes no worker unready: it is away for all of them, and each still has an answer. Where
    trying again cannot help, a 503 has no Retry-After.
    """
    parts = service()
    follower = parts.follower
    snapshot, problem = follower.snapshot, follower.problem
    if problem is not None:
        # Whoever can reach the service can read it: files are named as they lie in the home folder.
        problem = problem.replace(f"{parts.settings.home}/", "")
    if snapshot is None:
        detail = f"Not ready: {problem}"
        raise Problem(503, "unavailable", detail) if follower.lasting else unavailable(detail)
    body: dict[str, object] = {"status": "ready", "generation": snapshot.generation.number}
    if problem is not None:
        body |= {"status": "degraded", "problem": problem}
    return Response(json.dumps(body), mimetype="application/json")


@blueprint.get("/metrics")
def metrics() -> Response:
    return Response(service().metrics.exposition(), content_type=CONTENT_TYPE_LATEST)
