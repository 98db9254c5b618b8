"""What comes in is noticed: events in the log, and files once they are whole."""

from __future__ import annotations

from contextlib import closing

import dagster as dg
import pytest

from conf.loading import load
from dagster_project.arrivals import sensors
from dagster_project.build import build
from jobs.log_state import STREAM_LOCK, held
from stores.control import Control
from stores.generation import Generation
from stores.opening import open_eventlog, open_store


@pytest.fixture
def settings(tmp_path):
    return load(
        {"TOPSHELF_HOME": str(tmp_path)}, ["data.watch=incoming", "data.partitions_start=2026-01-10T00:00:00Z"]
    ).settings


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def looks(settings, instance):
    """The named sensor, looked at again and again: the partition of the run that it asked for, or True; or why it did
    not."""
    cursors = {}
    code = build(settings).get_repository_def()
    found = {sensor.name: sensor for sensor in sensors(settings)}

    def look(name, ended=None):
        """ended: the status of the run that was asked for."""
        said = found[name].evaluate_tick(
            dg.build_sensor_context(instance, cursor=cursors.get(name), repository_def=code)
        )
        cursors[name] = said.cursor
        for request in said.run_requests or ():
            instance.add_run(dg.DagsterRun(found[name].job_name, tags=request.tags, status=ended))
            return request.partition_key or True
        return said.skip_message

    return look


def test_events_in_the_log_ask_for_their_ingest(settings, looks):
    assert looks("new_events") == "the log has nothing new"
    event = {"event_id": "e", "user_id": "ann", "item_id": "m", "event_type": "click",
             "timestamp": "2026-01-10T05:00:00Z", "context": {}}  # fmt: skip
    with closing(open_eventlog(settings, "worker", lambda: 0.0)) as log:
        log.append([event])
    with held(settings.eventlog_path, STREAM_LOCK):
        assert looks("new_events") == "`topshelf stream` moves them"
    assert looks("new_events", ended=dg.DagsterRunStatus.STARTED) is True
    assert looks("new_events") == "events are being moved, or wait for it"


def test_files_are_imported_once_when_they_no_longer_change(tmp_path, looks):
    assert "is not there" in looks("new_files")
    folder = tmp_path / "incoming"
    folder.mkdir()
    assert "nothing is new" in looks("new_files")
    (folder / "items.csv").write_text("item_id,title\n1,Al")
    assert "have changed" in looks("new_files")
    (folder / "items.csv").write_text("item_id,title\n1,Alien\n")
    assert "have changed" in looks("new_files"), "it was still being written"
    for _ in range(3):
        assert looks("new_files", ended=dg.DagsterRunStatus.FAILURE) is True
    assert "could not be imported 3 times" in looks("new_files")
    (folder / "items.csv").write_text("item_id,title\n1,Alien\n2,Up\n")
    assert "have changed" in looks("new_files")
    assert looks("new_files", ended=dg.DagsterRunStatus.SUCCESS) is True
    assert "nothing is new" in looks("new_files")


def test_a_model_that_passed_is_tried_in_the_hour_that_readers_have(settings, looks, instance):
    def trained(model, **judged):
        found = {"model": model, "version": "v2", **judged}
        instance.report_runless_asset_event(dg.AssetMaterialization("models", metadata=found))

    trained("first", passed=True)
    assert looks("new_model") == "nothing is published yet that v2 could be tried beside"
    with open_store(settings) as store:
        first = Control.first("test-store")
        begun = first.begun(1)
        store.swap_control(None, first)
        store.swap_control(first, begun)
        store.swap_control(begun, begun.switched(Generation(1, "artefact", "v1", "2026-01-10T05:00Z", "now")))
    trained("second", passed=False, **{"refused because": "its lists are worse"})
    assert looks("new_model") == "v2 was refused: its lists are worse"
    trained("third", passed=True)
    assert looks("new_model") == "2026-01-10-05:00"
    assert "No new materialization" in looks("new_model")


def test_nothing_comes_to_a_finished_record(settings):
    data = settings.data.model_copy(update={"profile": "historical"})
    assert sensors(settings.model_copy(update={"data": data})) == []
