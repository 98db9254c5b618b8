"""published: load the lists that changed into the store, verify them, switch, and remember what is live.

Plan → load → verify → switch → merge. Readers see nothing of a generation before the switch, which is one
compare-and-set of the control record. A crash after the switch is healed by the next run, which merges the plan.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf.errors import DataError, PermanentError
from conf.hours import Hour
from conf.settings import Settings
from jobs import ledger
from jobs.lake import Lake
from jobs.manifests import Scored, built_from, remove_unused
from jobs.tables import PLANS, PUBLICATIONS, PUBLISHED, RECOMMENDATIONS
from stores.base import RING, VARIANTS, Control, Generation, Row, Store, choose
from stores.opening import open_store
from stores.records import body_hash, encode_body, encode_row

KEPT_GENERATIONS = RING
"""Generations that the control record describes: those the ring can still hold."""
SAMPLE = 200
"""Rows read back through the reader's own code before the switch."""


@dataclass(frozen=True)
class Result:
    """What a publication did. generation is None where there was nothing to publish."""

    generation: int | None
    state: str
    scored: int
    changed: int
    unchanged: int
    planned: int
    written: int
    rejected: int
    bytes: int


@dataclass(frozen=True)
class _Load:
    written: int
    bytes: int
    rejected: tuple[str, ...]
    """Users whose rows the store refused."""


def store_id(store: Store) -> str | None:
    """The random id of the store, made when it is first published to; None: never published to."""
    control = store.read_control()
    return None if control is None else control.store_id


def run(
    lake: Lake,
    hour: Hour,
    settings: Settings,
    store: Store,
    scored: Scored,
    now: Callable[[], datetime],
    watermark: int = 0,
    republish: bool = False,
) -> Result:
    """Publish the recommendations of `hour`.

    Raises:
        PermanentError: the hour is not later than the live one and `republish` was not asked for.
        ControlConflict, LeaseLost: another publisher is at work.
        DataError: what was loaded is not what was planned; the old generation goes on being served.
    """
    control = _control(store)
    ledger.heal(lake, control, now())
    plan = _plan(lake, hour, control)
    planned = plan.count()
    if not republish and _is_live(control.generation(), hour, planned, scored.artefact_id):
        return Result(None, "unchanged", scored.scored, scored.changed, scored.unchanged, 0, 0, 0, 0)
    leased = _take_lease(lake, store, control, now())
    attempt = leased.attempts
    entry = _entry(leased, hour, settings, scored, planned, watermark, now())
    try:
        lake.replace(PLANS, plan.withColumn("generation", F.lit(attempt)), {"generation": attempt})
        ledger.note(lake, entry | {"state": "loading"})
        load = _load(lake, settings, attempt, watermark)
        entry |= {"written": load.written, "rejected": len(load.rejected), "bytes": load.bytes}
        _verify(lake, store, leased, attempt, planned, load)
        ledger.note(lake, entry | {"state": "verified"})
        made = Generation(attempt, scored.artefact_id, scored.model_version, str(hour), now().isoformat())
        kept = (made, *leased.live)[:KEPT_GENERATIONS]
        store.swap_control(leased, replace(leased, version=leased.version + 1, lease=None, current=attempt, live=kept))
    except Exception as error:
        _abort(lake, store, leased, attempt)
        ledger.note(lake, entry | {"state": "aborted", "ended_at": now(), "error": str(error)[:1000]})
        raise
    ledger.merge(lake, attempt)
    ledger.note(lake, entry | {"state": "current", "ended_at": now()})
    remove_unused(settings, {generation.artefact_id for generation in kept} | built_from(settings, hour))
    counts = (scored.scored, scored.changed, scored.unchanged, planned)
    return Result(attempt, "current", *counts, load.written, len(load.rejected), load.bytes)


def _is_live(live: Generation | None, hour: Hour, planned: int, artefact_id: str) -> bool:
    """Whether readers have all of this hour already.

    Raises:
        PermanentError: publishing it would take them back, or change an hour they have.
    """
    if live is None or Hour.parse(live.hour) < hour:
        return False
    if Hour.parse(live.hour) > hour:
        raise PermanentError(
            f"hour {hour} is not later than {live.hour}, which generation {live.number} serves: "
            "publish it on purpose with --republish"
        )
    if planned or live.artefact_id != artefact_id:
        raise PermanentError(
            f"hour {hour} is already served by generation {live.number}, and {planned} lists or the catalogue now "
            "come out differently: publish them on purpose with --republish"
        )
    return True


def _entry(
    leased: Control, hour: Hour, settings: Settings, scored: Scored, planned: int, watermark: int, started: datetime
) -> dict[str, Any]:
    """The attempt's row of the ledger, but for its state."""
    manifest = {
        "model_id": scored.model_id,
        "artefact_id": scored.artefact_id,
        "tables": scored.versions,
        "watermark": watermark,
        "store": settings.store.kind,
    }
    return {
        "generation": leased.attempts,
        "hour": hour.start,
        "store_id": leased.store_id,
        "manifest": json.dumps(manifest),
        "scored": scored.scored,
        "changed": scored.changed,
        "unchanged": scored.unchanged,
        "planned": planned,
        "written": 0,
        "rejected": 0,
        "bytes": 0,
        "started_at": started,
        "ended_at": None,
        "error": None,
    }


def _control(store: Store) -> Control:
    control = store.read_control()
    if control is None:
        control = Control.first(uuid.uuid4().hex)
        store.swap_control(None, control)
    return control


def _take_lease(lake: Lake, store: Store, control: Control, now: datetime) -> Control:
    """Begin an attempt. One that still holds the lease loses it: dead or not, it can neither write nor switch."""
    # Numbers go on from the ledger's: a new store's first attempt is not the old store's.
    attempt = max(control.attempts, ledger.last_attempt(lake)) + 1
    aborted = control.aborted if control.lease is None else (*control.aborted, control.lease)
    leased = replace(control, version=control.version + 1, attempts=attempt, lease=attempt, aborted=aborted)
    store.swap_control(control, leased)
    if control.lease is not None:
        dead = lake.read(PUBLICATIONS).where(F.col("generation") == control.lease).first()
        if dead is not None:
            ledger.note(
                lake, {**dead.asDict(), "state": "aborted", "ended_at": now, "error": f"attempt {attempt} took over"}
            )
    return leased


def _plan(lake: Lake, hour: Hour, control: Control) -> DataFrame:
    """Rows to write: lists that differ from what this store holds, each at its next place in the ring.

    To a store other than the one that `published` describes, every list goes: those of this hour, and those of
    users who were not scored in it.
    """
    held = lake.read(PUBLISHED)
    ours = held.where(F.col("store_id") == control.store_id).select(
        "user_id", "variant", F.col("hash").alias("old_hash"), F.col("ring_position").alias("old_position")
    )
    fresh = (
        lake.read(RECOMMENDATIONS)
        .where((F.col("date") == hour.date) & (F.col("hour") == hour.start.hour))
        .select(
            "user_id", "variant", "items", "region", "maturity_limit", "body", "hash", F.lit(hour.start).alias("hour")
        )
    )
    carried = (
        held.where(F.col("store_id") != control.store_id)
        .join(fresh, on=["user_id", "variant"], how="left_anti")
        .select(*fresh.columns)
    )
    wanted = fresh.unionByName(carried).join(ours, on=["user_id", "variant"], how="left")
    return wanted.where(~F.col("hash").eqNullSafe(F.col("old_hash"))).select(
        *fresh.columns,
        F.when(F.col("old_position").isNull(), 0).otherwise((F.col("old_position") + 1) % RING).alias("ring_position"),
        F.lit(control.store_id).alias("store_id"),
    )


def _load(lake: Lake, settings: Settings, attempt: int, watermark: int) -> _Load:
    """Write the plan's rows from Spark's executors."""

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with open_store(settings) as store:
            for batch in batches:
                report = store.write(_rows(batch, attempt, watermark), lease=attempt)
                refused = pa.array([[row.user_id for row in report.rejected]], pa.list_(pa.string()))
                yield pa.RecordBatch.from_pydict(
                    {
                        "written": [report.written],
                        "bytes": [report.bytes],
                        "rejected": refused,
                    }
                )

    rows = lake.read(PLANS).where(F.col("generation") == attempt).select("user_id", "variant", "ring_position", "body")
    reports = rows.mapInArrow(write, "written long, bytes long, rejected array<string>").collect()
    refused = tuple(user_id for report in reports for user_id in report["rejected"])
    if refused:
        plan = lake.read(PLANS).where((F.col("generation") == attempt) & ~F.col("user_id").isin(*refused))
        lake.replace(PLANS, plan, {"generation": attempt})
    return _Load(sum(r["written"] for r in reports), sum(r["bytes"] for r in reports), refused)


def _rows(batch: pa.RecordBatch, attempt: int, watermark: int) -> Iterator[Row]:
    columns = (batch.column(name).to_pylist() for name in ("user_id", "variant", "ring_position", "body"))
    for user_id, variant, position, body in zip(*columns, strict=True):
        yield Row(user_id, VARIANTS.index(variant), position, encode_row(body, attempt, watermark))


def _verify(lake: Lake, store: Store, control: Control, attempt: int, planned: int, load: _Load) -> None:
    """Every planned row is accounted for, and a sample reads back as planned.

    Raises:
        DataError: it is not so.
    """
    if planned != load.written + len(load.rejected):
        raise DataError(
            f"generation {attempt}: {planned} rows planned, {load.written} written and {len(load.rejected)} rejected"
        )
    after = replace(control, current=attempt)
    sample = (
        lake.read(PLANS)
        .where(F.col("generation") == attempt)
        .orderBy(F.xxhash64("user_id", F.lit(attempt)))
        .limit(SAMPLE)
        .select("user_id", "variant", "hash")
        .collect()
    )
    wrong = []
    for row in sample:
        read = choose(store.ring(row["user_id"], VARIANTS.index(row["variant"])), after)
        if read is None or body_hash(encode_body(read.body)) != row["hash"]:
            wrong.append(row["user_id"])
    if wrong:
        raise DataError(f"generation {attempt}: lists of {wrong[:5]} do not read back as they were planned")


def _abort(lake: Lake, store: Store, leased: Control, attempt: int) -> None:
    """Give the lease back and mark the attempt, unless somebody else has taken over."""
    if store.read_control() == leased:
        store.swap_control(
            leased,
            replace(leased, version=leased.version + 1, lease=None, aborted=(*leased.aborted, attempt)),
        )
