"""Tests against real servers and browsers, and what they share."""

from __future__ import annotations

import os
import shutil

import pytest

PACKAGES = {"chromium": "chromium", "chromedriver": "chromium-driver", "redis-server": "redis-server"}
"""Program → the Debian package that brings it."""


def require_program(name: str) -> str:
    """Path of a program that a test needs.

    Where it is missing the test is skipped with the command that installs it; in continuous integration
    (CI=true), where .ci/run has installed it, the test fails instead.
    """
    path = shutil.which(name)
    if path is not None:
        return path
    reason = f"{name} is missing: sudo apt-get install {PACKAGES[name]}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
