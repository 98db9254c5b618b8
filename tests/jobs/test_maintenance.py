"""Room is made, and nothing goes that readers, a way back or the next hour need."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from jobs import maintenance, rollback
from jobs.registry import RETIRED, Model, Registry
from jobs.tables import PLANS, POPULARITY, PUBLISHED, RECOMMENDATIONS
from models.modelfiles import MANIFEST
from tests.jobs.publishing import NOW

pytestmark = pytest.mark.timeout(600)
LATER = NOW + timedelta(days=40)


def popular(day):
    return ("global", [], day.date(), 5)


@pytest.fixture
def kept_up(after):
    """Two publications, a popularity row of each of three days, and upkeep that looks 40 days later."""
    publisher = after(2)
    lake = publisher.lake
    days = [NOW - timedelta(days=back) for back in (0, 2, 60)]
    lake.append(POPULARITY, lake.spark.createDataFrame([popular(day) for day in days], POPULARITY.schema))

    def run(*tables):
        said = []
        control = publisher.store.read_control()
        done = maintenance.run(lake, publisher.settings, control, LATER, said.append, tables)
        return {each.name: each for each in done}, said

    return publisher, run


def test_partitions_older_than_the_live_hour_by_days_go_and_only_they(kept_up):
    publisher, run = kept_up
    done, said = run(POPULARITY, RECOMMENDATIONS)
    assert done["popularity"].dropped == 1
    assert publisher.lake.read(POPULARITY).count() == 2
    assert done["recommendations"].dropped == 0, "40 days have passed, but its hour is still live"
    assert any(line.startswith("popularity: 1 rows dropped") for line in said)
    assert run(POPULARITY)[0]["popularity"].dropped == 0


def test_one_can_still_go_back_and_go_on_after_it(kept_up):
    publisher, run = kept_up
    lake, versions = publisher.lake, publisher.lake.version(PUBLISHED)
    old = [lake.read(PUBLISHED, version).count() for version in range(versions + 1)]
    run(PUBLISHED, PLANS, RECOMMENDATIONS)
    assert [lake.read(PUBLISHED, version).count() for version in range(versions + 1)] == old
    rollback.roll_back(publisher.settings, lake.root, publisher.store, None)
    done = publisher(5, {"ann": [7]})
    assert (done.written, publisher.served("ann")) == (1, [[7]])


def test_files_of_writes_that_died_go_once_they_are_older_than_what_live_generations_were_made_from(kept_up):
    publisher, run = kept_up
    control = publisher.store.read_control()
    assert maintenance._kept_hours(publisher.settings, control, LATER) == pytest.approx(41 * 24, abs=1)
    assert maintenance._kept_hours(publisher.settings, None, LATER) == 7 * 24
    left = {days: Path(publisher.lake.path(POPULARITY)) / f"part-{days}.parquet" for days in (30, 60)}
    for days, file in left.items():
        file.write_bytes(b"half a file")
        os.utime(file, times=(time.time() - days * 86400,) * 2)
    run(POPULARITY)
    assert {days: file.exists() for days, file in left.items()} == {30: True, 60: False}


def test_models_beyond_the_number_kept_lose_their_files_but_not_their_rows(kept_up):
    publisher, run = kept_up
    registry = Registry(publisher.lake, publisher.settings)
    retention = publisher.settings.retention.model_copy(update={"models": 1})
    publisher.settings = publisher.settings.model_copy(update={"retention": retention})
    for number, name in enumerate("mabc"):  # m is what the live lists were made with
        folder = publisher.settings.models_path / name
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text(name)
        created = NOW + timedelta(hours=number)
        registry.retire(registry.add(Model(name, "", folder, NOW, {}, "x"), created, ""), created, "another is better")
    assert run()[0]["files of models"].dropped == 2
    there = {model.model_id: model.folder.exists() for model in registry.models(RETIRED)}
    assert there == {"m": True, "a": False, "b": False, "c": True}
