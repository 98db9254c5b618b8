"""Bearer tokens: HS256, subject = user, with an expiry and a scope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt

from serving.problems import Problem, unauthorized
from stores.base import MAX_USER_ID_BYTES

ALGORITHM = "HS256"
SCOPES = ("user", "service")
MAX_TOKEN_HOURS = 876_000
"""A century."""
_BEARER = "bearer "


@dataclass(frozen=True)
class Caller:
    """Who sent a request."""

    user_id: str
    scope: str
    maturity_limit: int | None = None
    """Tightens the user's own, never widens it; None: the token says nothing. Likewise the others."""
    region: str | None = None
    tier: str | None = None
    """Subscription tier."""


def make_token(user_id: str, secret: str, now: datetime, hours: float, scope: str = "user") -> str:
    """A token for `user_id` that is good for `hours` from `now` (timezone-aware).

    Raises:
        ValueError: an unknown scope, hours that are not above 0 and at most 876,000, or a wrong user_id.
    """
    if scope not in SCOPES:
        raise ValueError(f"there is no scope {scope!r}: choose one of {', '.join(SCOPES)}")
    if not 0 < hours <= MAX_TOKEN_HOURS:
        raise ValueError(f"a token is good for more than 0 and at most {MAX_TOKEN_HOURS} hours, not for {hours}")
    check_user_id(user_id)
    claims = {"sub": user_id, "scope": scope, "iat": now, "exp": now + timedelta(hours=hours)}
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def check_user_id(user_id: str) -> None:
    """Raises ValueError unless it has 1 to 64 bytes of UTF-8."""
    try:
        length = len(user_id.encode())
    except UnicodeEncodeError:
        raise ValueError("a user id is text that UTF-8 can hold") from None
    if not 0 < length <= MAX_USER_ID_BYTES:
        raise ValueError(f"a user id has 1 to {MAX_USER_ID_BYTES} bytes, this one {length}")


class Authenticator:
    """Checks tokens.

    clock: epoch seconds. It decides about expiry, so tests need not wait.
    """

    def __init__(self, secret: str, clock: Callable[[], float]) -> None:
        self._secret = secret
        self._clock = clock

    def caller(self, authorization: str | None) -> Caller:
        """Who the Authorization header stands for.

        Raises:
            Problem: 401; the token is missing, malformed, forged, expired, or lacks what it needs.
        """
        if authorization is None:
            raise unauthorized("This needs a bearer token: Authorization: Bearer …")
        if authorization[: len(_BEARER)].lower() != _BEARER:
            raise unauthorized("The Authorization header must be: Bearer, a space, the token.")
        return self._read(authorization[len(_BEARER) :].strip())

    def _read(self, token: str) -> Caller:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                options={"require": ["exp", "sub"], "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            expiry = float(claims["exp"])
            not_before = float(claims.get("nbf", 0))
        except (jwt.InvalidTokenError, TypeError, ValueError, OverflowError) as error:
            raise unauthorized("The token is not valid.") from error
        if not not_before <= self._clock() < expiry:
            raise unauthorized("The token has expired.")
        user_id, scope = claims["sub"], claims.get("scope", SCOPES[0])
        try:
            check_user_id(user_id)
        except (AttributeError, ValueError) as error:
            raise unauthorized("The token's subject is not a user id.") from error
        if scope not in SCOPES:
            raise unauthorized("The token's scope is unknown.")
        return Caller(user_id, scope)


def need_service(caller: Caller) -> None:
    """Raises Problem (403) unless the caller's token has the scope service."""
    if caller.scope != "service":
        raise Problem(403, "forbidden", "This needs a token with the scope service.")
