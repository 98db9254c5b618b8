"""Bearer tokens: JWTs whose subject is a user, with an expiry and a scope."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import jwt
from jwt.types import Options

from serving.keys import Key, Keyring, Keys
from serving.problems import Problem, unauthorized
from stores.base import MAX_USER_ID_BYTES
from stores.records import MAX_REGION_BYTES

ALGORITHM = "HS256"
MAX_MATURITY = 4
MAX_TIER_BYTES = 64
MAX_TOKEN_BYTES = 4096
REMEMBERED_TOKENS = 1 << 14
"""Checked tokens a process remembers: a signature costs 40 us and more, and a user sends the same token for days."""
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


def make_token(
    user_id: str, secret: str, now: datetime, hours: float, scope: str = "user", claims: Mapping[str, Any] | None = None
) -> str:
    """A token for `user_id` that is good for `hours` from `now` (timezone-aware).

    claims: further ones: aud, iss, maturity_limit, region, tier. Those that are None are left out.

    Raises:
        ValueError: an unknown scope, hours that are not above 0 and at most 876,000, a wrong user_id, or a claim
            that the service would refuse.
    """
    if scope not in SCOPES:
        raise ValueError(f"there is no scope {scope!r}: choose one of {', '.join(SCOPES)}")
    if not 0 < hours <= MAX_TOKEN_HOURS:
        raise ValueError(f"a token is good for more than 0 and at most {MAX_TOKEN_HOURS} hours, not for {hours}")
    check_user_id(user_id)
    further = {name: value for name, value in (claims or {}).items() if value is not None}
    _caller({"sub": user_id, "scope": scope, **further})
    times = {"iat": now, "exp": now + timedelta(hours=hours)}
    return jwt.encode({**further, **times, "sub": user_id, "scope": scope}, secret, algorithm=ALGORITHM)


def check_user_id(user_id: str) -> None:
    """Raises ValueError unless it has 1 to 64 bytes of UTF-8."""
    try:
        length = len(user_id.encode())
    except UnicodeEncodeError:
        raise ValueError("a user id is text that UTF-8 can hold") from None
    if not 0 < length <= MAX_USER_ID_BYTES:
        raise ValueError(f"a user id has 1 to {MAX_USER_ID_BYTES} bytes, this one {length}")


@dataclass(frozen=True)
class _Checked:
    """A token whose signature, audience, issuer and claims are good; its times are still to be compared."""

    caller: Caller
    not_before: float
    expiry: float


class _UnknownKey(Exception):
    """The token names a key that there is not."""


class Authenticator:
    """Checks tokens. Thread-safe.

    A checked token is remembered, so that the next request with it costs a look-up; its times are compared each time,
    and new keys forget it.

    Args:
        clock: epoch seconds. It decides about expiry, so tests need not wait.
        leeway: seconds by which other clocks may differ from it.
        audience: what `aud` must be or hold; None: `aud` is not looked at.
        issuer: likewise `iss`.
    """

    def __init__(
        self,
        keyring: Keyring,
        clock: Callable[[], float],
        *,
        leeway: float = 0.0,
        audience: str | None = None,
        issuer: str | None = None,
    ) -> None:
        self._keyring = keyring
        self._clock = clock
        self._leeway = leeway
        self._audience = audience
        self._issuer = issuer
        self._checked = lru_cache(maxsize=REMEMBERED_TOKENS)(self._check)

    def caller(self, authorization: str | None) -> Caller:
        """Who the Authorization header stands for.

        Raises:
            Problem: 401; the token is missing, malformed, forged, expired, or lacks what it needs.
        """
        if authorization is None:
            raise unauthorized("This needs a bearer token: Authorization: Bearer …")
        if authorization[: len(_BEARER)].lower() != _BEARER:
            raise unauthorized("The Authorization header must be: Bearer, a space, the token.")
        token = authorization[len(_BEARER) :].strip()
        if len(token) > MAX_TOKEN_BYTES:
            raise unauthorized(f"The token has more than {MAX_TOKEN_BYTES} bytes.")
        try:
            checked = self._checked(token, self._keyring.keys())
        except _UnknownKey:
            checked = self._with_new_keys(token)
        now = self._clock()
        if now >= checked.expiry + self._leeway:
            raise unauthorized("The token has expired.")
        if now < checked.not_before - self._leeway:
            raise unauthorized("The token is not valid yet.")
        return checked.caller

    def _with_new_keys(self, token: str) -> _Checked:
        try:
            return self._checked(token, self._keyring.keys_again())
        except _UnknownKey:
            raise unauthorized("The token's key (kid) is unknown.") from None

    def _check(self, token: str, keys: Keys) -> _Checked:
        """What lru_cache remembers by token and keys. Raises Problem (401), which is not remembered, or _UnknownKey."""
        try:
            candidates = keys.candidates(jwt.get_unverified_header(token).get("kid"))
            if not candidates:
                raise _UnknownKey
            claims = self._claims(token, candidates)
            expiry, not_before = _moment(claims["exp"]), _moment(claims.get("nbf", 0))
        except (jwt.InvalidTokenError, TypeError, ValueError, OverflowError) as error:
            raise unauthorized("The token is not valid.") from error
        if not (math.isfinite(expiry) and math.isfinite(not_before)):
            raise unauthorized("The token is not valid.")
        try:
            return _Checked(_caller(claims), not_before, expiry)
        except ValueError as error:
            raise unauthorized(f"The token does not fit: {error}.") from error

    def _claims(self, token: str, candidates: Sequence[Key]) -> dict[str, Any]:
        """The claims under the first key whose signature it is.

        Each key is tried with its own algorithm, and PyJWT refuses a token whose header names any other: neither
        `none` nor a public key's bytes taken for a secret get through.
        """
        checks: Options = {
            "require": ["exp", "sub"],
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
            "verify_aud": self._audience is not None,
        }
        for key in candidates[:-1]:
            try:
                return self._decoded(token, key, checks)
            except jwt.InvalidSignatureError:
                continue
        return self._decoded(token, candidates[-1], checks)

    def _decoded(self, token: str, key: Key, checks: Options) -> dict[str, Any]:
        return jwt.decode(
            token,
            key.material,
            algorithms=[key.algorithm],
            options=checks,
            audience=self._audience,
            issuer=self._issuer,
        )


def _moment(value: object) -> float:
    """Raises TypeError for what is no number, as text with one: RFC 7519, NumericDate."""
    if type(value) not in (int, float):
        raise TypeError
    return float(value)  # type: ignore[arg-type]  # it is a number by now


def _caller(claims: Mapping[str, Any]) -> Caller:
    """Raises ValueError for a claim that has no meaning: refusing a token is safer than ignoring what limits it."""
    user_id, scope, limit = claims["sub"], claims.get("scope", SCOPES[0]), claims.get("maturity_limit")
    if not isinstance(user_id, str):
        raise ValueError("sub is a user id")
    check_user_id(user_id)
    if scope not in SCOPES:
        raise ValueError(f"scope is one of {', '.join(SCOPES)}")
    if limit is not None and not (type(limit) is int and 0 <= limit <= MAX_MATURITY):
        raise ValueError(f"maturity_limit is a whole number from 0 to {MAX_MATURITY}")
    return Caller(
        user_id,
        scope,
        maturity_limit=limit,
        region=_word(claims, "region", MAX_REGION_BYTES),
        tier=_word(claims, "tier", MAX_TIER_BYTES),
    )


def _word(claims: Mapping[str, Any], name: str, longest: int) -> str | None:
    word = claims.get(name)
    if word is None:
        return None
    if not (isinstance(word, str) and 0 < len(word.encode(errors="replace")) <= longest):
        raise ValueError(f"{name} is text of 1 to {longest} bytes")
    return word


def need_service(caller: Caller) -> None:
    """Raises Problem (403) unless the caller's token has the scope service."""
    if caller.scope != "service":
        raise Problem(403, "forbidden", "This needs a token with the scope service.")
