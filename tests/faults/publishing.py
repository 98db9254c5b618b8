"""Publication with Spark: an hour's, its failures, and what the tables must say after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from conf.settings import Settings
from jobs import load, publish
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.manifests import Scored
from jobs.tables import PLANS, PUBLISHED
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
            plan = self.lake.read(PLANS).where(F.col("generation") == result.generation)
            self.recovered += plan.where("again").count()
        return result

    def check(self, number: int) -> None:
        """Readers, and the table of what they read, have exactly the lists of that hour."""
        check_store(self.store, self.world, number)
        expected = {user: encoded(items) for user, items in self.world.lists(number).items()}
        rows = self.lake.read(PUBLISHED).select("user_id", "body").collect()
        assert len(rows) == len(expected)
        assert {row["user_id"]: bytes(row["body"]) for row in rows} == expected
        control = self.store.read_control()
        assert control is not None
        assert control.lease is None
        states = Ledger(self.lake, control.store_id).entries
        assert states[control.current]["state"] == "current"


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
