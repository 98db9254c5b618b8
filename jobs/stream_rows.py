"""A micro-batch of the stream: records of Kafka to rows of events and rejected_events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial, reduce
from pathlib import Path

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructField, StructType

from jobs.barrier import Barred
from jobs.event_commits import commit
from jobs.event_rows import Malformed, parse
from jobs.lake import Lake
from jobs.log_state import LogState
from jobs.tables import EVENTS, REJECTED_EVENTS
from stores.eventlog.kafka_reader import Topic

PARSED = StructType(
    [StructField(field.name, field.dataType) for field in (*REJECTED_EVENTS.schema.fields[:4], *EVENTS.schema.fields)]
)
"""Of a record its place and the event in it, or what is wrong with it and its bytes; its place alone where the user was
forgotten."""


def judged(records: DataFrame, topic: Topic, state: LogState, now: datetime, barred: Barred) -> DataFrame:
    """PARSED of those of Kafka's records that nobody has moved yet."""
    fresh = records.where(_not_moved(topic, state.offsets)).select("partition", "offset", "value")
    return fresh.mapInArrow(partial(_judge, topic, now, barred), PARSED)


def totals(parsed: DataFrame) -> list[Row]:
    """What each part of the log has in a micro-batch; earliest: of its events, in microseconds."""
    found = (
        F.min("offset").alias("first"),
        F.max("offset").alias("last"),
        F.count("*").alias("records"),
        F.count("event_id").alias("events"),
        F.count("reason").alias("rejected"),
        F.unix_micros(F.min("timestamp")).alias("earliest"),
    )
    return parsed.groupBy("part").agg(*found).collect()


def _not_moved(topic: Topic, offsets: Mapping[str, int]) -> Column:
    moved = [
        (F.col("partition") == partition) & (F.col("offset") < offsets[topic.part(partition)])
        for partition in topic.partitions
        if topic.part(partition) in offsets
    ]
    return ~reduce(Column.__or__, moved, F.lit(False))


def _judge(topic: Topic, now: datetime, barred: Barred, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """(partition, offset, value) to PARSED."""
    schema = to_arrow_schema(PARSED, timezone="UTC")
    for batch in batches:
        rows = []
        for record in batch.to_pylist():
            row = {"part": topic.part(record["partition"]), "offset": record["offset"]}
            try:
                event = parse(record["value"], now)
                if not barred.bars(event["user_id"]):
                    row |= event
            except Malformed as error:
                if not barred.names_in(record["value"]):
                    row |= {"reason": str(error), "value": record["value"], "ingested_at": now, "date": now.date()}
            rows.append(row)
        yield pa.RecordBatch.from_pylist(rows, schema=schema)


def move(lake: Lake, folder: Path, state: LogState, parsed: DataFrame, parts: list[Row]) -> int:
    """Commit a micro-batch of which `totals` are `parts`; returns how many events were new."""
    events = parsed.where(F.col("event_id").isNotNull())
    # Of an event that is there twice the last, as where the log is read without Spark.
    last = events.groupBy("event_id").agg(
        F.max_by(F.struct(*EVENTS.columns), F.struct("part", "offset")).alias("event")
    )
    earliest = min((part["earliest"] for part in parts if part["earliest"] is not None), default=None)
    rejected = parsed.where(F.col("reason").isNotNull()).select(*REJECTED_EVENTS.columns)
    return commit(
        lake,
        folder,
        state,
        events=last.select("event.*") if earliest is not None else None,
        earliest=None if earliest is None else datetime.fromtimestamp(earliest / 1e6, UTC),
        rejected=rejected if any(part["rejected"] for part in parts) else None,
        positions={part["part"]: part["last"] + 1 for part in parts},
    )
