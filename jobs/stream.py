"""events, as they come: Kafka's topic moved into Delta by Spark Structured Streaming, between the hours and over them.

It and `jobs.ingest` may run side by side. Both take the same lock for each commit and keep the same record of how far
the log is in the table, and that record alone counts: Spark's own checkpoint begins anew with every start, from the
places in the record, and what others have moved since a micro-batch was planned is left out of it.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from py4j.protocol import Py4JNetworkError
from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.readwriter import DataStreamWriter

from conf.errors import RetryableError
from conf.settings import Settings
from jobs import barrier
from jobs.alone import Share
from jobs.lake import Lake
from jobs.log_state import STREAM_LOCK, Busy, LogState, alone, held, stream_runs
from jobs.stream_rows import judged, move, totals
from stores.eventlog.kafka_reader import KafkaReader, Topic

CHECKPOINT = "checkpoint"
_LOOK_SECONDS = 0.5


class StreamEnded(RetryableError):
    """The query ended by itself. What it had committed stands; another start goes on from there."""


@dataclass(frozen=True)
class Moved:
    """What one micro-batch moved; as `jobs.ingest.Result`."""

    read: int
    new: int
    rejected: int
    dropped: int
    watermark: int
    erased: int
    seconds: float


def run(
    lake: Lake,
    reader: KafkaReader,
    settings: Settings,
    clock: Callable[[], datetime],
    say: Callable[[Moved], None],
    stop: threading.Event,
    once: bool = False,
    after: Callable[[Lake], None] = lambda _: None,
) -> None:
    """Move events until `stop` is set, or with `once` all that the log has now. A micro-batch under way is ended first.

    say, after: called when a micro-batch has been moved, in its thread.

    Raises:
        Busy: another stream of this home runs.
        EventLogUnavailable: the brokers are away, or the topic was made anew.
        StreamEnded: Spark gave up; the text has its reason.
    """
    if stream_runs(settings.eventlog_path):
        raise Busy("another `topshelf stream` moves the events of this home already")
    with held(settings.eventlog_path, STREAM_LOCK, wait=False):
        mover = _Mover(lake.root, reader, settings, clock, say, after)
        mover.look()
        writer = _writer(lake, mover, settings)
        if once:
            query = writer.trigger(availableNow=True).start()
        else:
            query = writer.trigger(processingTime=f"{settings.stream.seconds} seconds").start()
        try:
            try:
                _watch(query, mover, stop, settings.stream.seconds)
            finally:
                mover.end(query)
        except (Py4JNetworkError, ConnectionError) as error:
            raise StreamEnded("the stream's Java process ended under it") from error
        mover.mark()


def _writer(lake: Lake, mover: _Mover, settings: Settings) -> DataStreamWriter:
    kafka = settings.kafka
    checkpoint = settings.eventlog_path / CHECKPOINT
    shutil.rmtree(checkpoint, ignore_errors=True)
    options = {
        "kafka.bootstrap.servers": kafka.brokers,
        "kafka.isolation.level": "read_committed",
        "subscribe": kafka.topic,
        "startingOffsets": json.dumps({kafka.topic: mover.starts()}),
        "maxOffsetsPerTrigger": str(settings.stream.records),
        # What the topic has dropped is gone: it is counted, and the rest goes on.
        "failOnDataLoss": "false",
        **{f"kafka.{name}": value for name, value in settings.stream.conf.items()},
    }
    records = lake.spark.readStream.format("kafka").options(**options).load()
    return (
        records.writeStream.queryName("topshelf stream")
        .foreachBatch(mover)
        .option("checkpointLocation", checkpoint.resolve().as_uri())
    )


def _watch(query: StreamingQuery, mover: _Mover, stop: threading.Event, seconds: float) -> None:
    marked = time.monotonic()
    while query.isActive and not stop.wait(_LOOK_SECONDS):
        if time.monotonic() - marked >= seconds:
            mover.look()
            mover.mark()
            marked = time.monotonic()
    if not stop.is_set() and mover.failure is None:
        error = query.exception()
        if error is not None:
            raise StreamEnded(f"the stream ended: {str(error).splitlines()[0]}")
    if mover.failure is not None:
        raise mover.failure


class _Mover:
    """Takes micro-batches, and knows from when on all that was logged has been in one."""

    def __init__(
        self,
        root: str,
        reader: KafkaReader,
        settings: Settings,
        clock: Callable[[], datetime],
        say: Callable[[Moved], None],
        after: Callable[[Lake], None],
    ) -> None:
        self._root = root
        self._reader = reader
        self._topic = reader.describe()
        self._settings, self._folder = settings, settings.eventlog_path
        self._clock = clock
        self._say, self._after = say, after
        self._looks = deque[tuple[float, dict[str, int]]]()
        """When the topic was looked at, and where its parts ended then."""
        self._turn = threading.Lock()
        self._ending = False
        self.failure: Exception | None = None

    def starts(self) -> dict[str, int]:
        """By partition, where to go on; where that is gone or was never there, the nearest place."""
        offsets = LogState.load(self._folder).offsets
        bounds = self._reader.bounds(self._topic.partitions)
        return {
            str(partition): min(max(offsets.get(self._topic.part(partition), 0), first), end)
            for partition, (first, end) in bounds.items()
        }

    def __call__(self, records: DataFrame, _: int) -> None:
        """Move one micro-batch; called in a thread of Spark's."""
        with self._turn:
            if self._ending:
                return
            try:
                # For this micro-batch alone: an erasure waits for whoever shares the lake.
                lake = Lake(records.sparkSession, self._root, Share(self._settings.home))
                moved = self._move(lake, records)
                if moved is not None:
                    self._say(moved)
                    self._after(lake)
            except Exception as error:  # Spark would hand on its text alone
                self.failure = error
                raise

    def end(self, query: StreamingQuery) -> None:
        """Stop the query between two micro-batches."""
        with self._turn:
            self._ending = True
        query.stop()

    def look(self) -> None:
        """Note where the log ends now."""
        began = self._clock().timestamp()
        topic = self._known_topic()
        ends = self._reader.bounds(topic.partitions)
        # A part whose records are all gone has nothing that could arrive.
        self._looks.append((began, {topic.part(number): end for number, (first, end) in ends.items() if first < end}))

    def mark(self) -> None:
        """Let the watermark rise where nothing comes in; whoever holds the lock is not waited for."""
        with suppress(Busy), alone(self._folder, wait=False) as state:
            if self._rise(state):
                state.save(self._folder)

    def _rise(self, state: LogState) -> bool:
        """Note the last look of which all has arrived, as a pass that began then."""
        arrived = None
        while self._looks and state.has(self._looks[0][1]):
            arrived, _ = self._looks.popleft()
        if arrived is not None:
            state.note_pass(arrived, self._reader.skew_seconds)
        return arrived is not None

    def _move(self, lake: Lake, records: DataFrame) -> Moved | None:
        started, topic = time.monotonic(), self._known_topic()
        with alone(self._folder) as state:
            now = state.no_earlier(self._clock())
            # Each time anew: who was forgotten may have been so since the stream began.
            barred = barrier.load(lake, self._settings)
            parsed = judged(records, topic, state, now, barred).persist()
            try:
                parts = totals(parsed)
                if not parts:
                    return None
                dropped = sum(part["first"] - state.offsets.get(part["part"], 0) for part in parts)
                new = move(lake, self._folder, state, parsed, parts)
            finally:
                parsed.unpersist()
            if self._rise(state):
                state.save(self._folder)
            rejected = sum(part["rejected"] for part in parts)
            read = sum(part["records"] for part in parts) - rejected
            erased = read - sum(part["events"] for part in parts)
            return Moved(read, new, rejected, dropped, state.watermark(), erased, time.monotonic() - started)

    def _known_topic(self) -> Topic:
        topic = self._reader.describe()
        if topic.topic_id != self._topic.topic_id:
            raise StreamEnded("the topic was made anew: start the stream again, and it is read from its beginning")
        return topic
