"""The stores that the settings choose. Nothing is opened yet: each connects on first use."""

from __future__ import annotations

from collections.abc import Callable

from conf.settings import Settings
from stores.base import PATIENT, Store, Timeouts
from stores.embedded import EmbeddedStore
from stores.eventlog.base import EventLog
from stores.eventlog.embedded import EmbeddedEventLog, EmbeddedReader
from stores.eventlog.reading import EventLogReader
from stores.sessions.base import Sessions
from stores.sessions.embedded import EmbeddedSessions
from stores.shown.base import ShownLog
from stores.shown.embedded import EmbeddedShownLog


def open_store(settings: Settings, timeouts: Timeouts = PATIENT, share: float = 1) -> Store:
    """The store of lists.

    share: the part, above 0 and up to 1, of the settings' write budget that this writer may use.
    """
    kind = settings.store.kind
    # The clients take a good part of a second to import: whoever needs none should not wait for them.
    if kind == "dynamodb":
        from stores.dynamodb import DynamoStore

        units = settings.publish.units_per_second
        return DynamoStore(
            settings.dynamodb,
            timeouts,
            units_per_second=None if units is None else units * share,
            rows_in_flight=max(1, round(settings.publish.rows_in_flight * share)),
        )
    if kind == "scylla":
        from stores.scylla import ScyllaStore

        return ScyllaStore(
            settings.scylla, timeouts, rows_in_flight=max(1, round(settings.publish.rows_in_flight * share))
        )
    return EmbeddedStore(settings.store_path, settings.store.map_size_gb)


def open_reader(settings: Settings) -> Store:
    """The store of lists as the service reads it: it waits briefly and never tries twice."""
    seconds = settings.serving.list_ms / 1000
    return open_store(settings, Timeouts(connect=seconds, read=seconds, retries=0))


def open_sessions(settings: Settings) -> Sessions:
    if settings.sessions.kind == "redis":
        from stores.sessions.redis import RedisSessions

        return RedisSessions(settings.redis, settings.serving.session_ms)
    return EmbeddedSessions(settings.sessions_path, settings.store.map_size_gb)


def open_eventlog(settings: Settings, writer_id: str, clock: Callable[[], float]) -> EventLog:
    """writer_id: unique among living writers, such as a worker's process id with a random part."""
    if settings.eventlog.kind == "kafka":
        from stores.eventlog.kafka import KafkaEventLog

        return KafkaEventLog(settings.kafka, clock)
    return EmbeddedEventLog(settings.eventlog_path, writer_id, clock)


def open_shown(settings: Settings, writer_id: str, on_drop: Callable[[int], None]) -> ShownLog:
    """writer_id: as for the event log. on_drop: told how many pages were dropped, from any thread."""
    return EmbeddedShownLog(settings.shown_path, writer_id, settings.shown.buffer, on_drop)


def open_eventlog_reader(settings: Settings) -> EventLogReader:
    """The other end of the log, for whoever moves it into the lake."""
    if settings.eventlog.kind == "kafka":
        from stores.eventlog.kafka_reader import KafkaReader

        return KafkaReader(settings.kafka)
    return EmbeddedReader(settings.eventlog_path)
