"""The stores that the settings choose. Nothing is opened yet: each connects on first use."""

from __future__ import annotations

from collections.abc import Callable

from conf.settings import Settings
from stores.base import Store
from stores.embedded import EmbeddedStore
from stores.eventlog.base import EventLog
from stores.eventlog.embedded import EmbeddedEventLog
from stores.sessions.base import Sessions
from stores.sessions.embedded import EmbeddedSessions


def open_store(settings: Settings) -> Store:
    return EmbeddedStore(settings.store_path, settings.store.map_size_gb)


def open_sessions(settings: Settings) -> Sessions:
    return EmbeddedSessions(settings.sessions_path, settings.store.map_size_gb)


def open_eventlog(settings: Settings, writer_id: str, clock: Callable[[], float]) -> EventLog:
    """writer_id: unique among living writers, such as a worker's process id with a random part."""
    return EmbeddedEventLog(settings.eventlog_path, writer_id, clock)
