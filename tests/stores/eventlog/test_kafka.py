"""Kafka in trouble, and topics that hold less, or other things, than what we wrote."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from cli.services.programs import KAFKA
from conf.event_settings import Kafka
from conf.settings import Settings
from stores.eventlog.base import EventLogUnavailable
from stores.eventlog.kafka import KafkaEventLog, client_options, create_topic
from stores.eventlog.kafka_reader import KafkaReader
from stores.eventlog.reading import Batch, Record
from tests.services.servers import PrivateServer
from tests.services.stores import eventlog_settings

EVENT = {"event_id": "e1", "user_id": "ann"}


def ids(batch: Batch) -> list[str]:
    return [json.loads(record.value or b"")["event_id"] for record in batch.records]


@pytest.fixture
def kafka(request: pytest.FixtureRequest, settings: Settings) -> Kafka:
    """An empty topic of one partition."""
    return eventlog_settings(request, settings, "kafka", partitions=1).kafka


def test_brokers_that_are_away_are_waited_for_by_one_thread_and_found_again(settings: Settings, tmp_path: Path) -> None:
    server = PrivateServer(KAFKA, tmp_path)
    chosen = settings.kafka.model_copy(update={"brokers": f"127.0.0.1:{server.port}", "timeout_ms": 300})
    log = KafkaEventLog(chosen, time.time)
    waits = []

    def append() -> None:
        began = time.monotonic()
        with pytest.raises(EventLogUnavailable):
            log.append([EVENT])
        waits.append(time.monotonic() - began)

    append()
    assert 0.2 < waits.pop() < 2
    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wait > 0.2 for wait in waits) == 1
    with server:
        create_topic(chosen)
        deadline = time.monotonic() + 20
        while True:
            try:
                log.append([EVENT])
                break
            except EventLogUnavailable:
                assert time.monotonic() < deadline
        log.close()
        assert "e1" in {name for batch in KafkaReader(chosen).read({}) for name in ids(batch)}


def test_a_topic_that_is_not_there_takes_nothing_and_is_named(kafka: Kafka) -> None:
    missing = kafka.model_copy(update={"topic": "missing", "timeout_ms": 300})
    log = KafkaEventLog(missing, time.time)
    with pytest.raises(EventLogUnavailable, match="the topic missing at "):
        log.append([EVENT])
    log.close()
    with pytest.raises(EventLogUnavailable, match="missing cannot be read"):
        list(KafkaReader(missing).read({}))


def test_records_come_as_they_stand_whatever_they_are(kafka: Kafka) -> None:
    producer, values = Producer(client_options(kafka)), [b"\xff", b'{"event_id": "e1"}', None]
    for value in values:
        producer.produce(kafka.topic, value)
    producer.flush()
    reader = KafkaReader(kafka)
    part = reader.describe().part(0)
    (batch,) = reader.read({})
    assert batch.records == [Record(part, offset, value) for offset, value in enumerate(values)]
    assert reader.bounds([0]) == {0: (0, 3)}


def test_what_the_topic_dropped_before_it_was_read_is_counted(kafka: Kafka) -> None:
    log = KafkaEventLog(kafka, time.time)
    log.append([{**EVENT, "event_id": f"e{number}"} for number in range(5)])
    log.close()
    admin = AdminClient(client_options(kafka))
    for future in admin.delete_records([TopicPartition(kafka.topic, 0, 3)]).values():
        future.result()
    (batch,) = KafkaReader(kafka).read({})
    assert (ids(batch), batch.dropped) == (["e3", "e4"], 3)
    assert KafkaReader(kafka).bounds([0]) == {0: (3, 5)}


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(kafka: Kafka) -> None:
    positions = {}
    for name in ("old", "new"):
        log = KafkaEventLog(kafka, time.time)
        log.append([{**EVENT, "event_id": name}])
        log.close()
        (batch,) = KafkaReader(kafka).read(positions)
        assert ids(batch) == [name]
        positions |= batch.positions
        if name == "old":
            _delete(kafka)
            create_topic(kafka)


def _delete(kafka: Kafka) -> None:
    admin = AdminClient(client_options(kafka))
    admin.delete_topics([kafka.topic])[kafka.topic].result()
    deadline = time.monotonic() + 10
    while kafka.topic in admin.list_topics(timeout=5).topics:
        assert time.monotonic() < deadline
