from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cli.services.programs import CASSANDRA, DYNAMODB
from tests.services.servers import require_jars


@pytest.fixture
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))


@pytest.mark.usefixtures("empty_environment")
def test_missing_jars_skip_with_the_command_that_fetches_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="topshelf services fetch scylla"):
        require_jars(CASSANDRA)


@pytest.mark.usefixtures("empty_environment")
def test_in_continuous_integration_they_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="topshelf services fetch dynamodb"):
        require_jars(DYNAMODB)
