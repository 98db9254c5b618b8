"""The ledger of publications, and the table of what is live: how a publication is remembered, and how both follow what
was done to the control record without them (a crash after the switch, a rollback, a generation marked as bad).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf.hours import Hour
from jobs.lake import Lake
from jobs.tables import PLANS, PUBLICATIONS, PUBLISHED
from stores.control import MERGED, Control

KEY = ["user_id", "variant"]
COMPACTED_AFTER = 24
"""Attempts, about a day's: each adds some files to the tables, and marks rows of published as replaced."""

Entry = dict[str, Any]


class Ledger:
    """The attempts on one store, read once and kept up while they are noted."""

    def __init__(self, lake: Lake, store_id: str) -> None:
        self._lake = lake
        self._store_id = store_id
        self._unwritten: list[Entry] = []
        rows = [row.asDict(recursive=True) for row in lake.read(PUBLICATIONS).collect()]
        self.last_attempt = max((row["generation"] for row in rows), default=0)
        """The highest attempt number, of whatever store."""
        self.only_store = all(row["store_id"] == store_id for row in rows)
        """Whether no other store was ever published to, so that `published` has lists of this one alone."""
        mine = (row for row in rows if row["store_id"] == store_id)
        self.entries: dict[int, Entry] = {
            entry["generation"]: entry for entry in sorted(mine, key=lambda entry: int(entry["step"]))
        }
        """How each attempt stands."""

    def add(self, *entries: Entry) -> None:
        """Add the state that attempts have come to, to be written with the next `write`."""
        for entry in entries:
            before = self.entries.get(entry["generation"])
            full = {**entry, "step": 1 if before is None else before["step"] + 1}
            self.entries[entry["generation"]] = full
            self._unwritten.append(full)

    def write(self) -> None:
        """Write down what was added, in one commit."""
        rows = [tuple(entry[name] for name in PUBLICATIONS.columns) for entry in self._unwritten]
        if rows:
            self._lake.append(PUBLICATIONS, self._lake.spark.createDataFrame(rows, PUBLICATIONS.schema))
            self._unwritten.clear()

    def heal(self, control: Control, now: datetime) -> None:
        """Bring published and the ledger up to what the control record says. May be repeated; mostly does nothing.

        A generation that was switched to by a run that did not come to its merge is merged, also where that run took
        the switch for failed. A list of a generation that readers do not see any more is replaced, in published, by
        the one that they see instead.

        """
        live = self.entries.get(control.current)
        if live is not None and live["state"] not in MERGED:
            self.merge(control, control.current)
        self._restore(control)
        self.follow(control, now)
        self.write()

    def follow(self, control: Control, now: datetime) -> None:
        """Add the states that the control record has given to attempts meanwhile."""
        states = {number: control.state_of(number, entry["state"]) for number, entry in self.entries.items()}
        self.add(
            *(
                {**self.entries[number], "state": state, "noted_at": now}
                for number, state in states.items()
                if state != self.entries[number]["state"]
            )
        )

    def describes(self, control: Control) -> bool:
        """Whether the table published is about this store as it stands.

        It is not when the store is another one, or when its current generation is unknown here: then the lake is not
        the one that published it, or was put back to an earlier day.
        """
        return control.current == 0 or control.current in self.entries

    def manifest(self, generation: int) -> dict[str, Any] | None:
        """What a generation was made with; None: the lake does not know it."""
        entry = self.entries.get(generation)
        return None if entry is None else dict(json.loads(entry["manifest"]))

    def merge(self, control: Control, generation: int) -> None:
        """Take what an attempt wrote for live, and note what hidden attempts its plan had taken over. Repeatable."""
        plan = self._lake.read(PLANS).where(F.col("generation") == generation)
        self._lake.upsert(PUBLISHED, plan.select(*PUBLISHED.columns))
        hidden = [number for number in self.hidden(control) if number < generation]
        self.add(*({**self.entries[number], "taken_over_by": generation} for number in hidden))

    def left_behind(self, control: Control) -> DataFrame | None:
        """Rows of PLANS that no reader sees and no later plan has taken over; the newest for each user and variant.

        What aborted, dead, bad and rolled-back attempts had planned: the store may or may not hold those rows. None
        where there is no such attempt, as in most hours.
        """
        hidden = self.hidden(control)
        return newest_rows(self._lake.read(PLANS).where(F.col("generation").isin(hidden))) if hidden else None

    def forget_plans(self, control: Control) -> None:
        """Delete the plans older than any generation that one can go back to: their rows matter in no ring."""
        oldest = min(generation.number for generation in control.live)
        if any(number < oldest for number in self.entries):
            self._lake.delete(PLANS, F.col("generation") < oldest)

    def compact(self) -> None:
        """Write the many small files of the ledger and of published anew, now and then."""
        if self.last_attempt and self.last_attempt % COMPACTED_AFTER == 0:
            self._lake.compact(PUBLICATIONS)
            self._lake.compact(PUBLISHED)

    def hidden(self, control: Control) -> list[int]:
        """Attempts whose rows no reader sees and no later plan has taken over."""
        return [
            number
            for number, entry in self.entries.items()
            if not control.shows(number) and entry["taken_over_by"] is None
        ]

    def _restore(self, control: Control) -> None:
        """Put rows of published that readers no longer see back to those they do see, out of Delta's older versions.

        A row goes back to what stood there before its generation was merged; where that is hidden too, further back.
        A user who had no list then has none now. Nor has, here alone, one whose earlier list stood in a version that
        ended with an erasure: the next plan asks the store where that list lies (`plan.make`).
        """
        gone = [
            number
            for number, entry in self.entries.items()
            if entry["state"] in MERGED and not control.shows(number) and entry["taken_over_by"] is None
        ]
        now = self._lake.version(PUBLISHED) if gone else None
        if now is None:
            return
        mine = F.col("store_id") == self._store_id
        # Read at a version by number: the writes below must not change what these rows are worked out from.
        left = self._lake.read(PUBLISHED, now).where(mine & F.col("generation").isin(gone)).select(*KEY).persist()
        for number in sorted(gone, reverse=True):
            if left.isEmpty():
                return
            version = self.entries[number]["base_version"]
            if version is not None and self._lake.readable(PUBLISHED, version):
                before = self._lake.read(PUBLISHED, version).where(mine & ~F.col("generation").isin(gone))
                self._lake.upsert(PUBLISHED, before.join(left, on=KEY, how="left_semi"))
                left = left.join(before.select(*KEY), on=KEY, how="left_anti").persist()
        if not left.isEmpty():
            self._lake.remove(PUBLISHED, left)


def past(lake: Lake, most: int) -> list[Entry]:
    """The last attempts that were live at some time, at most so many, oldest first."""
    rows = (
        lake.read(PUBLICATIONS)
        .where(F.col("state").isin(*MERGED))
        .groupBy("generation")
        .agg(F.max("step").alias("step"))
    )
    newest = rows.orderBy(F.desc("generation")).limit(most)
    found = lake.read(PUBLICATIONS).join(newest, on=["generation", "step"], how="left_semi").orderBy("generation")
    return [row.asDict(recursive=True) for row in found.collect()]


def newest_rows(plans: DataFrame) -> DataFrame:
    """Of rows of PLANS, the newest for each user and variant."""
    newest = plans.groupBy(*KEY).agg(F.max("generation").alias("generation"))
    return plans.join(newest, on=[*KEY, "generation"], how="left_semi")


def first_entry(attempt: int, hour: Hour, store_id: str, base_version: int | None, now: datetime) -> Entry:
    """An attempt before anything is known of it: all counts and amounts are 0."""
    counts = ("scored", "changed", "unchanged", "carried", "planned", "written", "rejected", "bytes", "throttled")
    amounts = ("units", "estimated_units", "estimated_dollars", "dollars", "load_seconds")
    return {
        **dict.fromkeys(PUBLICATIONS.columns),
        **dict.fromkeys(counts, 0),
        **dict.fromkeys(amounts, 0.0),
        "generation": attempt,
        "hour": hour.start,
        "store_id": store_id,
        "manifest": "{}",
        "checks": [],
        "base_version": base_version,
        "started_at": now,
    }
