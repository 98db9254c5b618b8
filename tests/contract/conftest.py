"""Every store, empty, and a way to open each anew: what the suite in this folder runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from conf.settings import Settings
from stores.base import Store
from stores.opening import open_store
from tests.services.stores import STORES, settings_for

Connect = Callable[[], Store]


@pytest.fixture(params=STORES)
def store_settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings of an empty store of each kind, its tables made; servers are started when first asked for."""
    return settings_for(request, settings)


@pytest.fixture
def connect(store_settings: Settings) -> Connect:
    """Opens the same store anew."""
    return lambda: open_store(store_settings)


@pytest.fixture
def store(connect: Connect) -> Iterator[Store]:
    with connect() as store:
        yield store
