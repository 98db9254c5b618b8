"""Who may ask: pages of this machine alone, whatever a browser was told elsewhere."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from flask import Flask, Response, request

from serving.problems import Problem

LOOPBACK = "127.0.0.1"
NAMES = frozenset({LOOPBACK, "localhost", "::1"})
TOKEN_HEADER = "X-Inspect-Token"  # noqa: S105  # the name of a header
_POLICY = {
    "default-src": "'none'",
    "style-src": "'self'",
    "script-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


def guard(app: Flask, images: bool) -> str:
    """Put checks before every request and headers on every answer. Returns the token that writing needs.

    A name that another site has pointed at this machine (DNS rebinding) is refused by its Host. A form or script of
    another site cannot write, for it cannot read the token out of the page.

    images: whether pictures may be loaded from the addresses in the catalogue.
    """
    token = secrets.token_urlsafe(32)
    policy = "; ".join(f"{name} {value}" for name, value in _POLICY.items())
    policy += "; img-src data: https: http:" if images else "; img-src data:"

    def before() -> None:
        if _name(f"//{request.host}") not in NAMES:
            raise Problem(403, "forbidden", f"This page is for http://{LOOPBACK} and http://localhost alone.")
        origin = request.headers.get("Origin")
        if origin is not None and _name(origin) not in NAMES:
            raise Problem(403, "forbidden", "Pages of other sites may not ask.")
        if request.method == "POST":
            sent = request.headers.get(TOKEN_HEADER, "")
            if not secrets.compare_digest(sent.encode(), token.encode()):
                raise Problem(403, "forbidden", "This page is of an earlier start: load it again.")

    def after(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response

    app.before_request(before)
    app.after_request(after)
    return token


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
