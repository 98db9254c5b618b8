"""The event log in a Kafka topic, for any number of machines.

A record's key is the user, so that a user's events stay in order; its value is the event's JSON. How much a
confirmation is worth is the topic's part: with three replicas and min.insync.replicas=2 an event is on two machines.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from conf.event_settings import Kafka
from stores.eventlog.base import LOGGED_AT, Event, EventLog, EventLogUnavailable
from stores.per_process import PerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 1.0
"""For the report that a record has timed out: the library looks once a second."""
ADMIN_SECONDS = 10.0


def client_options(settings: Kafka) -> dict[str, str | int | float | bool]:
    """What every client of ours is told. The library's own lines about lost connections are left out: calls fail."""
    return {"bootstrap.servers": settings.brokers, "log_level": "0", **settings.conf}


class KafkaEventLog(EventLog):
    """See `stores.eventlog.base.EventLog`.

    An append waits for its confirmation up to kafka.timeout_ms. Once that has failed, one append at a time goes on
    trying and the others are refused at once, so that a worker's threads are not all waiting for brokers that are away.

    clock: epoch seconds.
    """

    def __init__(self, settings: Kafka, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._producer = PerProcess(lambda: _Producer(settings), lambda producer: producer.close())
        self._away = False
        self._trying = threading.Lock()

    def append(self, events: Sequence[Event]) -> None:
        if not events:
            return
        now = self._clock()
        records = [(str(event["user_id"]), _value({**event, LOGGED_AT: now})) for event in events]
        with self._turn():
            try:
                self._producer.get().send(records)
            except _Failed as failed:
                self._away = True
                if failed.lasting:
                    self._producer.close()
                raise EventLogUnavailable(
                    f"the topic {self._settings.topic} at {self._settings.brokers} did not confirm: {failed}"
                ) from failed
            self._away = False

    def seal(self) -> None:
        """Its topic's retention alone removes anything."""

    def close(self) -> None:
        self._producer.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._away:
            yield
            return
        if not self._trying.acquire(blocking=False):
            raise EventLogUnavailable(f"the brokers at {self._settings.brokers} are away; one event tries them again")
        try:
            yield
        finally:
            self._trying.release()


class _Failed(Exception):
    def __init__(self, reason: str, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting
        """Whether this producer will fail at everything from now on."""


class _Producer:
    """librdkafka's producer with the thread that hands out its reports."""

    def __init__(self, settings: Kafka) -> None:
        self._topic = settings.topic
        self._seconds = settings.timeout_ms / 1000 + _GRACE_SECONDS
        self._producer = Producer(
            {
                **client_options(settings),
                "acks": "all",
                "enable.idempotence": "true",
                "delivery.timeout.ms": str(settings.timeout_ms),
                "linger.ms": "0",
                "reconnect.backoff.max.ms": "1000",  # brokers that are back are found within it
                "partitioner": "murmur2_random",  # Java's, so that everybody's records of a user meet
            }
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-reports", daemon=True)
        self._thread.start()

    def send(self, records: Sequence[tuple[str, bytes]]) -> None:
        """Return once all are confirmed. Raises _Failed."""
        waiting = _Waiting(len(records))
        try:
            for key, value in records:
                self._producer.produce(self._topic, value, key, on_delivery=waiting.report)
        except (BufferError, KafkaException) as error:
            raise _Failed(str(error), _is_fatal(error)) from error
        try:
            waiting.done.result(self._seconds)
        except Late:
            raise _Failed(f"no answer within {self._seconds:g} s") from None

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(_POLL_SECONDS)


class _Waiting:
    """Counts the reports of one append. Called from one thread alone."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._error: KafkaError | None = None
        self.done: Future[None] = Future()

    def report(self, error: KafkaError | None, _: Any) -> None:
        self._left -= 1
        self._error = self._error or error
        if self._left == 0:
            if self._error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(_Failed(self._error.str(), self._error.fatal()))


def create_topic(settings: Kafka, replicas: int = 1) -> None:
    """Make the topic, if it is not there, and wait until it can be written to.

    Raises:
        EventLogUnavailable: the brokers did not make it.
    """
    admin = AdminClient(client_options(settings))
    topic = NewTopic(settings.topic, num_partitions=settings.partitions, replication_factor=replicas)
    try:
        with suppress(_Exists):
            _made(admin.create_topics([topic])[settings.topic])
        deadline = time.monotonic() + ADMIN_SECONDS
        while not _has_leaders(admin, settings.topic):
            if time.monotonic() > deadline:
                raise EventLogUnavailable(f"the topic {settings.topic} has no leaders after {ADMIN_SECONDS:g} s")
            time.sleep(0.05)
    except KafkaException as error:
        raise EventLogUnavailable(f"the topic {settings.topic} could not be made: {error}") from error


class _Exists(Exception):
    pass


def _made(future: Future[None]) -> None:
    try:
        future.result(ADMIN_SECONDS)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            raise _Exists from None
        raise


def _has_leaders(admin: AdminClient, topic: str) -> bool:
    try:
        description = admin.describe_topics(TopicCollection([topic]))[topic].result(ADMIN_SECONDS)
    except KafkaException:
        return False
    return bool(description.partitions) and all(partition.leader is not None for partition in description.partitions)


def _is_fatal(error: Exception) -> bool:
    return isinstance(error, KafkaException) and bool(error.args[0].fatal())


def _value(event: Event) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
