"""Reading the topic of the event log, up to where it ends when the reading begins.

Positions are offsets, kept by whoever reads and not by Kafka, so that a pass can be repeated exactly. They are named
after the topic's id: a topic that was made anew under the same name is read from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # it is exported by chance
from confluent_kafka.admin._listoffsets import OffsetSpec

from conf.event_settings import Kafka
from stores.eventlog.base import EventLogUnavailable
from stores.eventlog.kafka import ADMIN_SECONDS, client_options
from stores.eventlog.reading import Batch, EventLogReader, Record

BATCH_RECORDS = 10_000
DELETE_SECONDS = 3600.0
"""Brokers look every five minutes for what is to go, and delete it a minute later; other settings take longer."""
SILENCE_SECONDS = 20.0
"""No record for so long, with some still to come, is a failure."""


@dataclass(frozen=True)
class Topic:
    topic_id: str
    partitions: tuple[int, ...]

    def part(self, partition: int) -> str:
        """The name under which positions are kept."""
        return f"{self.topic_id}/{partition}"


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
            topic = self.describe()
            for partition in topic.partitions:
                name = topic.part(partition)
                yield from self._read(consumer, name, partition, positions.get(name, 0))
        except KafkaException as error:
            raise self._unreadable(error) from error
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

    def describe(self) -> Topic:
        """The topic as it is now.

        Raises:
            EventLogUnavailable: the brokers do not answer, or have no such topic.
        """
        name = self._settings.topic
        try:
            found = self._admin.describe_topics(TopicCollection([name]), request_timeout=ADMIN_SECONDS)[name].result()
        except KafkaException as error:
            raise self._unreadable(error) from error
        return Topic(str(found.topic_id), tuple(sorted(partition.id for partition in found.partitions)))

    def bounds(self, partitions: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Of each partition the first offset that it still has, and the one that comes next. Raises as `describe`."""
        earliest, latest = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
        first, end = self._offsets(partitions, earliest), self._offsets(partitions, latest)
        return {partition: (first[partition], end[partition]) for partition in partitions}

    def _offsets(self, partitions: Sequence[int], spec: OffsetSpec) -> dict[int, int]:
        wanted = {TopicPartition(self._settings.topic, partition): spec for partition in partitions}
        try:
            asked = self._admin.list_offsets(wanted, request_timeout=ADMIN_SECONDS)
            return {place.partition: int(found.result().offset) for place, found in asked.items()}
        except KafkaException as error:
            raise self._unreadable(error) from error

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient(client_options(self._settings))

    def _unreadable(self, error: KafkaException) -> EventLogUnavailable:
        return EventLogUnavailable(f"the topic {self._settings.topic} cannot be read: {error}")

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
            records = [_record(name, message) for message in messages if not _is_end(message)]
            # The last offsets may belong to no record: marks of somebody's transactions take some up.
            position = end if len(records) < len(messages) else records[-1].offset + 1
            yield Batch(records, {name: position}, dropped)
            dropped = 0


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def _record(part: str, message: Message) -> Record:
    if message.error() is not None:
        raise KafkaException(message.error())
    return Record(part, int(message.offset() or 0), message.value())
