"""Import a folder: read and check everything first, then write what is new, so that a bad file changes nothing."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BooleanType

from conf.errors import DataError
from conf.hours import Hour
from conf.settings import Settings
from jobs import barrier
from jobs.barrier import Barred
from jobs.imports import events, items, users
from jobs.imports.checking import mark_repeats
from jobs.imports.layouts import Layout, Source, detect
from jobs.imports.notes import assumptions
from jobs.imports.profile import Profile, choose, read_dataset, write_dataset
from jobs.imports.reading import FILE, LINE, REASON, Rows, read_rows
from jobs.imports.report import FileCount, ImportReport, TableCount
from jobs.lake import Lake
from jobs.tables import EVENTS, IMPORTS, ITEMS, REJECTS, USERS, Table

Progress = Callable[[str], None]
"""Takes what is being done now, in words."""

SHOWN_REJECTS = 5


def run(
    lake: Lake,
    source: Path,
    settings: Settings,
    now: datetime,
    *,
    profile: Profile | None = None,
    progress: Progress = lambda _: None,
) -> ImportReport:
    """Bring a folder's data into the lake; only what the lake does not have yet is written.

    Items, users, events, dataset.yaml, rejects and the imports row are written in that order, each in one commit.
    After a crash the same call writes what is missing. The same folder twice writes nothing.

    Args:
        now: the moment of the import, in UTC.
        profile: overrules the choice between live and historical.

    Raises:
        DataError: no known layout, a file that cannot be read, or too large a share of bad rows in a file; then
            items, users and events are as before, and the bad rows are in the rejects table.
    """
    layout = detect(source)
    progress(f"reading {source.name or source} ({layout.kind})")
    report = ImportReport(layout.kind, source.resolve().name, _digest(layout))
    with ExitStack() as stack:
        job = _Import(lake, settings, now, layout, report, progress, stack, barrier.load(lake, settings))
        job.check()
        if job.too_bad is not None:
            job.write_rejects()
            raise job.too_bad
        job.write_tables()
        job.write_dataset(profile)
        job.write_rejects()
        job.write_ledger()
    return report


@dataclass
class _Import:
    lake: Lake
    settings: Settings
    now: datetime
    layout: Layout
    report: ImportReport
    progress: Progress
    stack: ExitStack
    barred: Barred
    """Users of whom nothing is taken."""
    rows: dict[str, Rows] = field(default_factory=dict)
    checked: dict[str, DataFrame] = field(default_factory=dict)
    too_bad: DataError | None = None

    def check(self) -> None:
        """Read and judge every file; nothing is written."""
        spark, sources = self.lake.spark, self.layout.sources
        for role, source in sources.items():
            self.rows[role] = read_rows(spark, source)
        known = self.lake.read(ITEMS).select("item_id")
        if "items" in sources:
            catalogue = self._judge("items", self._item_rows(tags=None))
            known = known.unionByName(_sound(catalogue).select("item_id")).distinct()
        if "tags" in sources:
            tags = self._judge("tags", items.tag_rows(self.rows["tags"], known))
            self.checked["items"] = self._keep(self._item_rows(items.tag_texts(tags)))
        if "users" in sources:
            people = users.movielens_users if self.layout.is_movielens else users.own_users
            self._judge("users", people(self.rows["users"]))
        if "events" in sources:
            latest = self.now + timedelta(minutes=self.settings.data.max_future_minutes)
            rows = events.event_rows(self.rows["events"], known, latest, self.layout.is_movielens)
            self._judge("events", rows, unique="event_id")
        if self.report.erased:
            self.report.notes.append(f"{self.report.erased:,} rows of users who were forgotten were left out.")
        counts = Counter(self.report.rejects)
        self.report.rejects = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def write_tables(self) -> None:
        if "items" in self.checked:
            changed = self._keep(items.changes(_sound(self.checked["items"]), self.lake.read(ITEMS)))
            self._count_and_upsert(ITEMS, changed)
        existing = self.lake.read(USERS)
        given = _sound(self.checked["users"]) if "users" in self.checked else None
        seen = _sound(self.checked["events"]) if "events" in self.checked else existing.limit(0)
        if given is not None or "events" in self.checked:
            self._count_and_upsert(USERS, self._keep(users.changes(given, seen, existing)))
        if "events" in self.checked:
            self._append_events(events.expand(_sound(self.checked["events"])))

    def write_dataset(self, asked: Profile | None) -> None:
        """Choose the profile from all events there are. An import that brings nothing leaves it as it is."""
        span = self.lake.read(EVENTS).agg(F.min("timestamp").alias("first"), F.max("timestamp").alias("last")).first()
        if span is None or span["first"] is None:
            self.report.notes.append("There are no events yet, so there is no hour to run: import some.")
            return
        # Spark hands out times in the machine's zone; the session's is UTC, and so are these.
        first, last = (Hour.of(_utc(span[name])) for name in ("first", "last"))
        self.report.first_hour, self.report.last_hour = first, last
        before = read_dataset(self.settings.home)
        if before is not None and asked is None and not self.report.changed and self._recorded():
            self.report.profile = before.profile
            self.report.notes.append(f"Profile: {before.profile}, as it was.")
            return
        dataset, why = choose(first, last, self.now, asked)
        self.report.profile = dataset.profile
        self.report.notes.append(f"Profile: {why}.")
        if dataset != before:
            write_dataset(self.settings.home, dataset)

    def write_rejects(self) -> None:
        """Add the rejected rows that are not in the table yet, each as it stood in its file."""
        bad = [
            self.rows[role].raw.join(F.broadcast(_unsound(self.checked[role])), [FILE, LINE])
            for role in self.checked
            if self.report.file(self._name(role)).rejected
        ]
        if not bad:
            return
        rejects = reduce(DataFrame.unionByName, bad).select(
            F.lit(self.report.import_id).alias("import_id"),
            F.col(FILE).alias("file"),
            F.col(LINE).alias("line"),
            F.col(REASON).alias("reason"),
            "row",
        )
        if self.barred:
            named = F.udf(self.barred.names, BooleanType(), useArrow=False)  # nobody knows a bad row's columns
            rejects = rejects.where(~named("row"))
        known = self.lake.read(REJECTS).where(F.col("import_id") == self.report.import_id)
        new = self._keep(rejects.join(known.select("file", "line"), ["file", "line"], how="left_anti"))
        count = new.count()
        if count:
            self.progress(f"keeping {count:,} rejected rows")
            self.lake.append(REJECTS, new)
            self.report.changed = True
        self.report.tables.append(TableCount(REJECTS.name, count))

    def write_ledger(self) -> None:
        """Record the import, last of all: a row here means that everything before was written."""
        if not self.report.changed and self._recorded():
            return
        counts = {"read": self.report.read, "rejected": self.report.rejected}
        counts |= {f"{table.name} new": table.new for table in self.report.tables}
        counts |= {f"{table.name} changed": table.changed for table in self.report.tables if table.changed}
        row = (self.report.import_id, self.report.source, self.report.layout, list(counts.items()), self.now)
        # As Arrow: plain rows would have Spark start a Python worker, for which nothing else here is in need of one.
        rows = pa.Table.from_arrays([[value] for value in row], schema=to_arrow_schema(IMPORTS.schema, timezone="UTC"))
        self.lake.upsert(IMPORTS, self.lake.spark.createDataFrame(rows, IMPORTS.schema))

    def _item_rows(self, tags: DataFrame | None) -> DataFrame:
        rows = self.rows["items"]
        return items.movielens_items(rows, tags) if self.layout.is_movielens else items.own_items(rows)

    def _judge(self, role: str, frame: DataFrame, unique: str | None = None) -> DataFrame:
        """Work a file's rows out once, count them, and note when too many are bad. `unique`: a key still to check."""
        name = self._name(role)
        self.progress(f"checking {name}")
        kept = self._of_known(self._keep(frame))
        marked = mark_repeats(kept, unique, "event is given twice") if unique else None
        kept = self.checked[role] = kept if marked is None else self._keep(marked)
        groups = kept.groupBy(REASON).count().collect()
        rejects = {group[REASON]: group["count"] for group in groups if group[REASON] is not None}
        count = FileCount(name, sum(group["count"] for group in groups), sum(rejects.values()))
        self.report.files.append(count)
        for reason, rows in rejects.items():
            self.report.rejects[reason] = self.report.rejects.get(reason, 0) + rows
        most = self.settings.data.max_reject_share
        if self.too_bad is None and count.share > most:
            self.too_bad = DataError(self._complaint(count, kept, most))
        self.report.notes += assumptions(self.layout, role, self.rows[role].types)
        return kept

    def _of_known(self, rows: DataFrame) -> DataFrame:
        """The rows but for those of users who were forgotten, which are counted."""
        if not self.barred or "user_id" not in rows.columns:
            return rows
        kept = self._keep(self.barred.without(rows))
        self.report.erased += rows.count() - kept.count()
        return kept

    def _complaint(self, count: FileCount, kept: DataFrame, most: float) -> str:
        worst = kept.where(F.col(REASON).isNotNull()).orderBy(FILE, LINE).limit(SHOWN_REJECTS).collect()
        shown = "; ".join(f"{row[FILE]} line {row[LINE]}: {row[REASON]}" for row in worst)
        return (
            f"{count.name}: {count.rejected:,} of {count.read:,} rows ({count.share:.1%}) cannot be taken, more than "
            f"the {most:.1%} that data.max_reject_share allows, so nothing was imported. First: {shown}. All of them "
            f"are in the rejects table. Mend the file, or allow more with --set data.max_reject_share=…"
        )

    def _count_and_upsert(self, table: Table, changed: DataFrame) -> None:
        """Write the rows; `is_new` tells new from changed ones, `given` (if there) those that stand in the file."""
        given = F.col("given") if "given" in changed.columns else F.lit(True)
        groups = changed.groupBy("is_new", given.alias("given")).count().collect()
        new = sum(group["count"] for group in groups if group["is_new"])
        count = TableCount(table.name, new, sum(group["count"] for group in groups) - new)
        self.report.tables.append(count)
        if table.name in self.checked:
            file = self.report.file(self._name(table.name))
            file.new = sum(group["count"] for group in groups if group["given"])
        if groups:
            self.progress(f"writing {table.name}: {count.new:,} new, {count.changed:,} changed")
            self.lake.upsert(table, changed.select(*table.columns))
            self.report.changed = True

    def _append_events(self, made: DataFrame) -> None:
        if self.lake.exists(EVENTS):
            made = self._keep(events.unknown_events(made, self.lake.read(EVENTS).select("event_id")))
        groups = made.groupBy("event_type", events.RATED).count().collect()
        new = sum(group["count"] for group in groups)
        self.report.tables.append(TableCount(EVENTS.name, new))
        # A bare rating makes two events and is one row: its watch is not counted.
        twice = sum(g["count"] for g in groups if g[events.RATED] and g["event_type"] == "watch")
        self.report.file(self._name("events")).new = new - twice
        if new:
            self.progress(f"writing events: {new:,}")
            # Neighbours in time share a file, so that a reader of some hours opens few of them.
            self.lake.append(EVENTS, made.select(*EVENTS.columns).repartitionByRange("date", "timestamp"))
            self.report.changed = True

    def _keep(self, frame: DataFrame) -> DataFrame:
        """Hold a frame on disk until the import ends: it is used more than once, and never fits a driver."""
        kept = frame.persist(StorageLevel.DISK_ONLY)
        self.stack.callback(kept.unpersist)
        return kept

    def _recorded(self) -> bool:
        imports = self.lake.read(IMPORTS).where(F.col("import_id") == self.report.import_id)
        return not imports.isEmpty()

    def _name(self, role: str) -> str:
        source = self.layout.sources.get(role)
        return "" if source is None else source.name


def _sound(checked: DataFrame) -> DataFrame:
    return checked.where(F.col(REASON).isNull())


def _unsound(checked: DataFrame) -> DataFrame:
    return checked.where(F.col(REASON).isNotNull()).select(FILE, LINE, REASON)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone()


def _digest(layout: Layout) -> str:
    """Digest of the names and contents of the files that are read."""
    whole = hashlib.sha256()
    for role in sorted(layout.sources):
        for path in _files(layout.sources[role]):
            with path.open("rb") as file:
                whole.update(f"{role} {path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()[:32]


def _files(source: Source) -> list[Path]:
    return sorted(source.path.rglob("*.parquet")) if source.path.is_dir() else [source.path]
