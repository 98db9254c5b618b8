"""Reading the topic of the event log, up to where it ends when the reading begins.

Positions are offsets, kept by whoever reads and not by Kafka, so that a pass can be repeated exactly. They are named
after the topic's id: a topic that was made anew under the same name is read from its beginning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # it is exported by chance

from conf.event_settings import Kafka
from stores.eventlog.base import EventLogUnavailable
from stores.eventlog.kafka import ADMIN_SECONDS, client_options
from stores.eventlog.reading import Batch, EventLogReader

BATCH_RECORDS = 10_000
DELETE_SECONDS = 3600.0
"""Brokers look every five minutes for what is to go, and delete it a minute later; other settings take longer."""
SILENCE_SECONDS = 20.0
"""No record for so long, with some still to come, is a failure."""


class KafkaReader(EventLogReader):
    """See `stores.eventlog.reading.EventLogReader`. A batch is at most 10,000 records of one partition."""

    skew_seconds = 60.0
    """Machines that keep their clocks by NTP are well within it."""

    def __init__(self, settings: Kafka) -> None:
        self._settings = settings

    def read(self, positions: Mapping[str, int]) -> Iterator[Batch]:
        consumer = Consumer(
            {
                **client_options(self._settings),
                "group.id": "topshelf",  # the library wants one; no offset is ever committed to it
                "enable.auto.commit": "false",
                "auto.offset.reset": "error",
                "enable.partition.eof": "true",
            }
        )
        try:
            topic_id, partitions = self._describe()
            for partition in partitions:
                name = f"{topic_id}/{partition}"
                yield from self._read(consumer, name, partition, positions.get(name, 0))
        except KafkaException as error:
            raise EventLogUnavailable(f"the topic {self._settings.topic} cannot be read: {error}") from error
        finally:
            consumer.close()

    def gone_by(self, now: float) -> float | None:
        topic = ConfigResource(ConfigResource.Type.TOPIC, self._settings.topic)
        try:
            admin = AdminClient(client_options(self._settings))
            found = admin.describe_configs([topic], request_timeout=ADMIN_SECONDS)[topic].result()
        except KafkaException as error:
            raise EventLogUnavailable(f"the topic {self._settings.topic} cannot be asked: {error}") from error
        kept, rolled = (int(found[name].value) / 1000 for name in ("retention.ms", "segment.ms"))
        if kept < 0 or "delete" not in found["cleanup.policy"].value:
            return None
        # A segment goes as a whole, once it is closed and its newest record is old enough.
        return now + kept + rolled + DELETE_SECONDS

    def close(self) -> None:
        pass

    def _describe(self) -> tuple[str, list[int]]:
        topic = self._settings.topic
        admin = AdminClient(client_options(self._settings))
        found = admin.describe_topics(TopicCollection([topic]), request_timeout=ADMIN_SECONDS)[topic].result()
        return str(found.topic_id), sorted(partition.id for partition in found.partitions)

    def _read(self, consumer: Consumer, name: str, partition: int, position: int) -> Iterator[Batch]:
        here = TopicPartition(self._settings.topic, partition)
        first, end = consumer.get_watermark_offsets(here, timeout=ADMIN_SECONDS)
        dropped, position = max(first - position, 0), max(first, position)
        if position < end:
            consumer.assign([TopicPartition(self._settings.topic, partition, position)])
        while position < end:
            messages = consumer.consume(min(BATCH_RECORDS, end - position), timeout=SILENCE_SECONDS)
            if not messages:
                raise EventLogUnavailable(f"partition {partition} of {self._settings.topic} went silent at {position}")
            records = [message for message in messages if not _is_end(message)]
            events = [event for event in map(_event, records) if event is not None]
            # The last offsets may belong to no record: marks of somebody's transactions take some up.
            position = end if len(records) < len(messages) else int(records[-1].offset() or 0) + 1
            yield Batch(events, {name: position}, dropped + len(records) - len(events))
            dropped = 0


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def _event(message: Message) -> dict[str, Any] | None:
    """The record's event; None when it is something else."""
    if message.error() is not None:
        raise KafkaException(message.error())
    try:
        event = json.loads(message.value() or b"")
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event_id" in event else None
