"""Publication with Spark: an hour's, its failures, and what the tables must say after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable

from conf.settings import Settings
from jobs import load, publish
from jobs.lake import Lake
from jobs.manifests import Scored
from jobs.rollback import attempts
from jobs.scan import readable
from jobs.tables import PLANS, PUBLISHED, Table
from stores.base import Store
from stores.opening import open_store
from tests.faults.driver import check_store
from tests.faults.watching import Watch, patient
from tests.faults.world import World
from tests.jobs.publishing import NOW, Heard, encoded, open_gate, recommend

SMALL_BATCH = 20
Rows = Callable[..., Iterator[Any]]


@dataclass
class Publications:
    """Of one lake into one store."""

    lake: Lake
    settings: Settings
    store: Store
    world: World
    recovered: int = 0
    """Rows that attempts wrote for users whom one before had planned."""

    def score(self, number: int) -> Scored:
        """An hour's recommendations: the lists that readers do not have yet."""
        control = publish.control_of(self.store)
        live = control.generation()
        since = None if live is None else self.world.number(live.hour)
        changed = self.world.changed(since, number)
        unchanged = len(self.world.lists(number)) - len(changed)
        return recommend(self.lake, self.settings, self.world.hour(number), changed, unchanged)

    def run(self, number: int, scored: Scored, now: Callable[[], datetime] = lambda: NOW) -> publish.Result:
        return publish.run(self.lake, self.world.hour(number), self.settings, self.store, scored, now, Heard())

    def recover(self, number: int, scored: Scored | None = None) -> publish.Result:
        """The publication after a failed one: it and the tables come out right to the row."""
        result = self.run(number, scored or self.score(number))
        assert result.planned == result.written + result.rejected
        self.check(number)
        if result.generation is not None:
            query = f"SELECT count(*) FROM rows WHERE again AND generation = {result.generation}"
            self.recovered += self._ask(query, PLANS)[0][0]
        return result

    def check(self, number: int) -> None:
        """Readers, and the table of what they read, have exactly the lists of that hour."""
        check_store(self.store, self.world, number)
        expected = {user: encoded(items) for user, items in self.world.lists(number).items()}
        rows = self._ask("SELECT user_id, body FROM rows", PUBLISHED)
        assert len(rows) == len(expected)
        assert dict(rows) == expected
        control = self.store.read_control()
        assert control is not None
        assert control.lease is None
        states = {entry["generation"]: entry["state"] for entry in attempts(self.lake.root)}
        assert states[control.current] == "current"

    def _ask(self, query: str, table: Table) -> list[tuple[Any, ...]]:
        """What DuckDB finds in a table, as `rows`."""
        connection = duckdb.connect(":memory:")
        connection.register("rows", readable(DeltaTable(self.lake.path(table))))
        return connection.sql(query).fetchall()


@contextmanager
def watched(chosen: Settings, lake: Lake, world: World, folder: Path) -> Iterator[tuple[Publications, Watch]]:
    """Publications of which the first is out, and a reader of them."""
    settings = open_gate(chosen)
    with open_store(settings) as store:
        publications = Publications(lake, settings, store, world)
        publications.run(0, publications.score(0))
        with Watch(patient(settings), world, folder) as watch:
            watch.wait_for()
            yield publications, watch


def interrupted(count: int, act: Callable[[], None]) -> Rows:
    """To stand in for `jobs.load._rows` in Spark's workers: after so many rows a worker acts, and then goes on.

    Rows are written a few at a time in there, so that some of them are in the store by then.
    """
    rows = load._rows

    def some(batches: Iterator[Any], attempt: int, watermark: int) -> Iterator[Any]:
        from stores import dynamodb_writer, embedded

        sizes = embedded.BATCH_ROWS, dynamodb_writer.CHUNK_ROWS
        embedded.BATCH_ROWS = dynamodb_writer.CHUNK_ROWS = SMALL_BATCH
        try:
            for number, row in enumerate(rows(batches, attempt, watermark)):
                if number == count:
                    act()
                yield row
        finally:
            embedded.BATCH_ROWS, dynamodb_writer.CHUNK_ROWS = sizes

    return some
