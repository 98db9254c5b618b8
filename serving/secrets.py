"""The key that signs tokens: from the settings, or made once and kept in the home folder."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from conf.errors import ConfigError
from conf.settings import Settings

SECRET_FILE = "token-secret"  # noqa: S105  # the name of the file, not a secret
MIN_BYTES = 32
"""RFC 7518: an HS256 key is at least as long as its hash."""


def token_secret(settings: Settings) -> str:
    """The secret in force. Two processes that start at once agree on one.

    Raises:
        ConfigError: the secret, or the one before it, is shorter than 32 bytes, or its file cannot be read or
            written. The text has the fix.
    """
    before = settings.serving.token_previous_secret
    if before is not None and len(before.encode()) < MIN_BYTES:
        raise ConfigError(f"serving.token_previous_secret has fewer than {MIN_BYTES} bytes: leave it empty")
    secret = settings.serving.token_secret
    if secret is None:
        secret = _kept(settings.home / SECRET_FILE)
        short = f"{settings.home / SECRET_FILE} has fewer than {MIN_BYTES} bytes: delete the file, a new one is made"
    else:
        short = f"serving.token_secret has fewer than {MIN_BYTES} bytes: choose a longer one"
    if len(secret.encode()) < MIN_BYTES:
        raise ConfigError(short)
    return secret


def our_claims(settings: Settings) -> dict[str, str | None]:
    """What a token of ours must claim for our own service to take it."""
    return {"aud": settings.serving.token_audience, "iss": settings.serving.token_issuer}


def _kept(path: Path) -> str:
    try:
        if not path.exists():
            _make(path)
        return path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"the token secret {path} cannot be read or written: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the token secret {path} is no text: delete the file, a new one is made") from error


def _make(path: Path) -> None:
    """Write a new secret, readable by its owner only, unless another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A hard link fails where the name is taken: whoever is first decides.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(partial)
    finally:
        partial.unlink()
