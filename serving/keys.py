"""The keys that tokens are checked with: shared secrets, and public keys of a JWKS file that change while we run."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from conf.errors import ConfigError
from conf.settings import Settings
from serving.metrics import Metrics

log = logging.getLogger(__name__)
LOOK_SECONDS = 2.0
"""The file is looked at no more often than this, whatever tokens come."""
MIN_RSA_BITS = 2048
"""RFC 7518 asks for it."""
MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Key:
    """A key and the one algorithm it is for. What a token's header says about its algorithm is never followed."""

    algorithm: str
    material: str | RSAPublicKey | EllipticCurvePublicKey


@dataclass(frozen=True, eq=False)
class Keys:
    """The keys at one time. Two are the same only if they are the same object."""

    secrets: tuple[Key, ...]
    public: Mapping[str, Key] | None
    """By `kid`; None: there is no JWKS file, and a token's `kid` means nothing."""

    def candidates(self, kid: object) -> Sequence[Key]:
        """The keys that a token with this `kid` (None: without one) may be signed with. None: an unknown kid."""
        if kid is None or self.public is None:
            return self.secrets
        key = self.public.get(kid) if isinstance(kid, str) else None
        return () if key is None else (key,)


class Keyring:
    """Keys in force now. Thread-safe.

    A file that cannot be read or makes no sense changes nothing: the keys before stay, it is counted and logged.

    Args:
        secrets: HS256 secrets, the one that signs first.
        jwks: the file of public keys; None: there is none.
        ticks: seconds of a clock that never goes back.
    """

    def __init__(self, secrets: Sequence[str], jwks: Path | None, ticks: Callable[[], float], metrics: Metrics) -> None:
        self._jwks = jwks
        self._ticks = ticks
        self._metrics = metrics
        self._looking = threading.Lock()
        self._next_look = self._next_read = float("-inf")
        self._seen: tuple[int, int, int] | None = None
        self._keys = Keys(tuple(Key("HS256", secret) for secret in secrets), None if jwks is None else {})

    def keys(self) -> Keys:
        """The keys in force. A changed file is noticed within 2 seconds."""
        if self._jwks is not None and self._ticks() >= self._next_look:
            self._look(self._jwks, again=False)
        return self._keys

    def keys_again(self) -> Keys:
        """After a kid that `keys()` lacks: the file is read even if it looks unchanged, at most every 2 seconds."""
        if self._jwks is not None and self._ticks() >= self._next_read:
            self._look(self._jwks, again=True)
        return self._keys

    def _look(self, jwks: Path, again: bool) -> None:
        with self._looking:
            # Who waited here for another's look has what it found.
            if self._ticks() < (self._next_read if again else self._next_look):
                return
            try:
                status = jwks.stat()
                seen = (status.st_mtime_ns, status.st_size, status.st_ino)
                if again or seen != self._seen:
                    self._keys = Keys(self._keys.secrets, read_jwks(jwks))
                    self._seen = seen
            except (OSError, ConfigError) as error:
                self._metrics.key_failures.inc()
                log.error("the keys before stay in force: %s", error)
            self._next_look = self._ticks() + LOOK_SECONDS
            if again:
                self._next_read = self._next_look


def jwks_path(settings: Settings) -> Path | None:
    """Where the JWKS file is; None: there is none."""
    name = settings.serving.jwks_file
    return None if name is None else Path(settings.under_home(name))


def read_jwks(path: Path) -> dict[str, Key]:
    """The signing keys of a JWKS file by kid: RSA for RS256, P-256 for ES256. Keys for anything else are left out.

    Raises:
        ConfigError: it cannot be read, is no JWKS, has no such key, a kid twice, or a private key.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"serving.jwks_file {path} has more than {MAX_FILE_BYTES} bytes")
        entries = json.loads(path.read_bytes())["keys"]
        found = [(entry, _key(entry, path)) for entry in entries]
    except OSError as error:
        raise ConfigError(f"serving.jwks_file {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise ConfigError(f'serving.jwks_file {path} is no JWKS: {{"keys": [...]}} as in RFC 7517') from error
    usable = [(str(entry["kid"]), key) for entry, key in found if key is not None]
    keys = dict(usable)
    if not keys:
        raise ConfigError(f"serving.jwks_file {path} has no RSA or P-256 key with a kid, for RS256 or ES256")
    if len(keys) != len(usable):
        raise ConfigError(f"serving.jwks_file {path} has a kid twice: each key needs one of its own")
    return keys


def _key(entry: Mapping[str, Any], path: Path) -> Key | None:
    if "d" in entry:
        raise ConfigError(f"serving.jwks_file {path} holds a private key: take it out, and use it no longer")
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(entry.get("kty", ""))
    if algorithm is None or not isinstance(entry.get("kid"), str):
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        return None
    if algorithm == "RS256":
        material: Any = RSAAlgorithm.from_jwk(dict(entry))
        fits = isinstance(material, RSAPublicKey) and material.key_size >= MIN_RSA_BITS
    else:
        material = ECAlgorithm.from_jwk(dict(entry))
        fits = isinstance(material, EllipticCurvePublicKey) and isinstance(material.curve, SECP256R1)
    return Key(algorithm, material) if fits else None
