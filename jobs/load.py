"""Loading a plan into the store, from Spark's executors in parallel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import pyarrow as pa
from pyspark import Accumulator, AccumulatorParam, SparkContext, StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

import stores.base
from conf.errors import RetryableError, TopshelfError
from conf.settings import Settings
from jobs.lake import Lake
from jobs.tables import PLANS, REFUSALS
from stores.base import VARIANTS, Row, Store, WriteReport
from stores.opening import open_store
from stores.records import encode_row

REPORT_SECONDS = 1.0
_REPORT = pa.schema(
    [
        *((name, pa.string()) for name in ("user_id", "variant", "reason")),
        *((name, pa.int64()) for name in ("written", "bytes", "throttled", "rejected", "erased")),
        ("units", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Progress:
    """How far a load has come."""

    planned: int
    unchanged: int
    """Lists that need no writing."""
    written: int
    rejected: int
    throttled: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows a second so far."""
        return (self.written + self.rejected) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None before the first row."""
        return (self.planned - self.written - self.rejected) / self.rate if self.rate else None


class Listener(Protocol):
    """Who is told how a publication goes on."""

    def say(self, text: str) -> None:
        """Something worth a line."""

    def progress(self, progress: Progress) -> None:
        """Called about once a second while rows are loaded, and once at the end. From another thread."""


@dataclass(frozen=True)
class Load:
    """What a load did. Exact: from what each task reports once, not from the progress."""

    written: int
    rejected: int
    erased: int
    """Rows left out, for their users were forgotten since the plan was made."""
    bytes: int
    units: float
    throttled: int
    seconds: float


def load(
    lake: Lake,
    settings: Settings,
    attempt: int,
    watermark: int,
    planned: int,
    unchanged: int,
    listener: Listener,
) -> Load:
    """Write the plan of `attempt`; rows that the store refuses go to the table publication_rejects, out of the plan.
    The rows of users who are forgotten meanwhile go out of it, too.

    The write budget of publish.* is shared by all tasks that run at once.

    Raises:
        TopshelfError: what stopped a writer (LeaseLost, StoreUnavailable, StoreFull …); the others are stopped too.
    """
    context = lake.spark.sparkContext
    counters = _Counters(context)
    rows = lake.read(PLANS).where(F.col("generation") == attempt).select("user_id", "variant", "ring_position", "body")
    tasks, cores = rows.rdd.getNumPartitions(), context.defaultParallelism
    if tasks < min(planned, cores):
        rows, tasks = rows.repartition(cores), cores
    reports = _reports(rows, settings, attempt, watermark, 1 / max(min(tasks, cores), 1), counters)
    started = time.monotonic()
    reports.persist(StorageLevel.DISK_ONLY)
    try:
        with _Watch(context, counters, attempt, lambda: listener.progress(counters.progress(planned, unchanged))):
            totals = reports.agg(
                *(F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in
                  ("written", "rejected", "erased", "bytes", "units", "throttled"))
            ).first()  # fmt: skip
        assert totals is not None  # an aggregate without groups has one row
        done = Load(**{**totals.asDict(), "seconds": time.monotonic() - started})
        if done.rejected:
            _refuse(lake, attempt, reports)
    finally:
        reports.unpersist()
    return done


def _reports(
    rows: DataFrame, settings: Settings, attempt: int, watermark: int, share: float, counters: _Counters
) -> DataFrame:
    """Each task's report: a row of sums, and one for each row that was refused."""
    text = settings.model_dump_json()
    # Only these go to the executors: a SparkContext, which the counters hold, does not travel.
    written, rejected, throttled, failures = counters.written, counters.rejected, counters.throttled, counters.failures

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            done = _writer(text, share).write(_rows(batches, attempt, watermark), lease=attempt)
        except TopshelfError as error:
            # Told, not raised: from a task that fails Spark takes no counters, and of its error only a text.
            failures.add([(type(error).__name__, str(error))])
            return
        written.add(done.written)
        rejected.add(len(done.rejected))
        throttled.add(done.throttled)
        yield _report(done)

    return rows.mapInArrow(write, from_arrow_schema(_REPORT))


@lru_cache(maxsize=1)
def _writer(settings: str, share: float) -> Store:
    """One store a Python worker, which Spark keeps for the next task: connecting costs more than a small task."""
    return open_store(Settings.model_validate_json(settings), share=share)


def _rows(batches: Iterator[pa.RecordBatch], attempt: int, watermark: int) -> Iterator[Row]:
    number = {name: place for place, name in enumerate(VARIANTS)}
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("user_id", "variant", "ring_position", "body"))
        for user_id, variant, position, body in zip(*columns, strict=True):
            yield Row(user_id, number[variant], position, encode_row(body, attempt, watermark))


def _report(done: WriteReport) -> pa.RecordBatch:
    sums = {"written": done.written, "bytes": done.bytes, "units": done.units, "throttled": done.throttled}
    rows: list[dict[str, Any]] = [{**sums, "rejected": len(done.rejected), "erased": done.erased}]
    nothing = dict.fromkeys(rows[0], 0)
    rows += [
        {"user_id": refused.user_id, "variant": VARIANTS[refused.variant], "reason": refused.reason, **nothing}
        for refused in done.rejected
    ]
    return pa.RecordBatch.from_pylist(rows, _REPORT)


def _refuse(lake: Lake, attempt: int, reports: DataFrame) -> None:
    refused = reports.where(F.col("reason").isNotNull()).select("user_id", "variant", "reason")
    lake.replace(REFUSALS, refused.withColumn("generation", F.lit(attempt)), {"generation": attempt})
    plan = lake.read(PLANS).where(F.col("generation") == attempt)
    kept = plan.join(refused.select("user_id", "variant"), on=["user_id", "variant"], how="left_anti")
    lake.replace(PLANS, kept, {"generation": attempt})


class _Failures(AccumulatorParam[list[tuple[str, str]]]):
    def zero(self, value: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return []

    def addInPlace(self, value1: list[tuple[str, str]], value2: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return value1 + value2


class _Counters:
    """What tasks tell the driver while a load runs."""

    def __init__(self, context: SparkContext) -> None:
        self.written: Accumulator[int] = context.accumulator(0)
        self.rejected: Accumulator[int] = context.accumulator(0)
        self.throttled: Accumulator[int] = context.accumulator(0)
        self.failures: Accumulator[list[tuple[str, str]]] = context.accumulator([], _Failures())
        self._started = time.monotonic()

    def progress(self, planned: int, unchanged: int) -> Progress:
        seconds = time.monotonic() - self._started
        written, rejected, throttled = self.written.value, self.rejected.value, self.throttled.value
        return Progress(planned, unchanged, written, rejected, throttled, seconds)


class _Watch:
    """While a load runs: tells its progress, and ends it for all once a writer has failed.

    On the way out the failure of a writer is raised again as what it was, rather than as Spark's account of it.
    """

    def __init__(self, context: SparkContext, counters: _Counters, attempt: int, say: Callable[[], None]) -> None:
        self._context = context
        self._counters = counters
        self._group = f"topshelf-load-{attempt}"
        self._say = say
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load-progress", daemon=True)

    def __enter__(self) -> _Watch:
        # Only this thread's jobs until the end: they are what a failed writer cancels.
        self._context.setJobGroup(self._group, "load lists into the store", interruptOnCancel=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._stop.set()
        self._thread.join()
        self._context.setJobGroup("", "")
        self._say()
        failed = self._failure()
        if failed is not None:
            raise failed from error

    def _run(self) -> None:
        while not self._stop.wait(REPORT_SECONDS):
            self._say()
            if self._counters.failures.value:
                self._context.cancelJobGroup(self._group)

    def _failure(self) -> TopshelfError | None:
        failures = self._counters.failures.value
        if not failures:
            return None
        name, text = failures[0]
        kind = getattr(stores.base, name, RetryableError)
        return kind(text) if issubclass(kind, TopshelfError) else RetryableError(text)
