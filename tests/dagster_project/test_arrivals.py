"""What comes in is noticed: events in the log, and files once they are whole."""

from __future__ import annotations

from contextlib import closing

import dagster as dg
import pytest

from conf.loading import load
from dagster_project.arrivals import sensors
from stores.opening import open_eventlog


@pytest.fixture
def settings(tmp_path):
    return load({"TOPSHELF_HOME": str(tmp_path)}, ["data.watch=incoming"]).settings


@pytest.fixture
def looks(settings):
    """The named sensor, looked at again and again: True where it asked for a run, else why it did not."""
    cursors = {}
    found = {sensor.name: sensor for sensor in sensors(settings)}

    def look(name):
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(instance, cursor=cursors.get(name))
            said = found[name].evaluate_tick(context)
        cursors[name] = said.cursor
        return bool(said.run_requests) or said.skip_message

    return look


def test_events_in_the_log_ask_for_their_ingest(settings, looks):
    assert looks("new_events") == "the log has nothing new"
    event = {"event_id": "e", "user_id": "ann", "item_id": "m", "event_type": "click",
             "timestamp": "2026-01-10T05:00:00Z", "context": {}}  # fmt: skip
    with closing(open_eventlog(settings, "worker", lambda: 0.0)) as log:
        log.append([event])
    assert looks("new_events") is True


def test_files_are_imported_once_when_they_no_longer_change(tmp_path, looks):
    assert "is not there" in looks("new_files")
    folder = tmp_path / "incoming"
    folder.mkdir()
    assert "nothing is new" in looks("new_files")
    (folder / "items.csv").write_text("item_id,title\n1,Al")
    assert "have changed" in looks("new_files")
    (folder / "items.csv").write_text("item_id,title\n1,Alien\n")
    assert "have changed" in looks("new_files"), "it was still being written"
    assert looks("new_files") is True
    assert "nothing is new" in looks("new_files")


def test_nothing_comes_to_a_finished_record(settings):
    data = settings.data.model_copy(update={"profile": "historical"})
    assert sensors(settings.model_copy(update={"data": data})) == []
