"""A DynamoDB table for each test that asks for one, on the suite's one server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from conf.settings import Dynamodb, Settings
from stores.dynamodb import DynamoStore
from tests.stores.dynamo import FIRST, LOADING, open_at


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of whoever runs the tests is looked at."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def dynamodb(settings: Settings, dynamodb_server: str, no_credentials: None) -> Dynamodb:
    """Settings of a table that is not there yet."""
    name = f"t{uuid.uuid4().hex[:12]}"
    return settings.dynamodb.model_copy(update={"endpoint": dynamodb_server, "table": name})


@pytest.fixture
def loading(dynamodb: Dynamodb) -> Iterator[DynamoStore]:
    """A store in DynamoDB whose lease is with attempt 1."""
    with open_at(dynamodb) as store:
        store.create()
        store.swap_control(None, FIRST)
        store.swap_control(FIRST, LOADING)
        yield store
