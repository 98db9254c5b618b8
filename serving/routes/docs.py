"""The API's own description: as OpenAPI, and as a page that draws it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request

from serving.openapi import encoded

blueprint = Blueprint("docs", __name__)
PAGE = Path(__file__).parents[1] / "static"


@blueprint.get("/openapi.json")
def openapi() -> Response:
    return _static(encoded(), "application/json")


@blueprint.get("/docs")
def docs() -> Response:
    body, policy = _page()
    response = _static(body, "text/html")
    response.headers["Content-Security-Policy"] = policy
    return response


@cache
def _page() -> tuple[bytes, str]:
    """The page, and the policy under which it runs: its own style and script by their digests, this host, no other."""
    style, script = (PAGE / "docs.css").read_text(), (PAGE / "docs.js").read_text()
    page = (PAGE / "docs.html").read_text().replace("/*style*/", style).replace("/*script*/", script)
    policy = {
        "default-src": "'none'",
        "style-src": _digest(style),
        "script-src": _digest(script),
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return page.encode(), "; ".join(f"{name} {value}" for name, value in policy.items())


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _static(body: bytes, mimetype: str) -> Response:
    """The same for everybody until the service is renewed: kept, but asked for again before each use."""
    response = Response(body, mimetype=mimetype)
    response.set_etag(hashlib.sha256(body).hexdigest()[:32])
    response.headers["Cache-Control"] = "public, no-cache"
    response.make_conditional(request.environ)
    return response
