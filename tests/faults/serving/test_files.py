"""What lies in files: the control record of the embedded store, artefacts and the event log, under load."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from conf.loading import load as load_settings
from stores.artefact import write_artefact
from tests.faults.serving.conftest import served, under_load
from tests.serving.conftest import body

ANSWERS = 100


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    home = tmp_path_factory.mktemp("files") / "home"
    with served(load_settings({"TOPSHELF_HOME": str(home)}).settings) as service:
        yield service


def ask(service, path, event=None):
    where = urlsplit(service.url)
    connection = HTTPConnection(where.hostname, where.port, timeout=10)
    headers = {"Authorization": f"Bearer {service.token()}"}
    connection.request("GET" if event is None else "POST", path, None if event is None else json.dumps(event), headers)
    answer = connection.getresponse()
    found = answer.status, answer.headers, json.loads(answer.read())
    connection.close()
    return found


def until_ready_says(service, status, words=""):
    for _ in range(1000):
        _, _, found = ask(service, "/readyz")
        if found["status"] == status and words in found.get("problem", ""):
            return
    raise AssertionError(f"/readyz does not come to say {status} {words}: {found}")


def test_an_event_log_that_is_gone_refuses_events_and_nothing_else(service, note):
    event = {"event_type": "click", "item_id": "m1", "timestamp": datetime.now(UTC).isoformat()}
    # So that every worker has a segment open, or most likely so.
    assert {ask(service, "/api/v1/events", event)[0] for _ in range(8)} == {202}
    log = service.world.settings.eventlog_path
    with under_load(service) as load:
        since = len(load.answers)
        shutil.rmtree(log)
        log.write_text("in the way")
        for _ in range(8):
            status, headers, answer = ask(service, "/api/v1/events", event)
            assert (status, answer["type"]) == (503, "/problems/unavailable")
            assert int(headers["Retry-After"]) > 0
        load.wait_for(ANSWERS)
        note("event log gone", "embedded", load, since)
        log.unlink()
        assert ask(service, "/api/v1/events", event)[0] == 202


def test_a_generation_whose_artefact_is_damaged_is_not_served(service, note, monkeypatch):
    world = service.world
    before = world.generation

    def write_half(root, content):
        """As by a copy that is not done yet when its generation becomes current."""
        artefact_id = write_artefact(root, content)
        (root / artefact_id / "active.npy").write_bytes(b"half")
        return artefact_id

    with under_load(service) as load:
        since = len(load.answers)
        with monkeypatch.context() as patch:
            patch.setattr("tests.serving.conftest.write_artefact", write_half)
            world.publish({"user0": body([3, 4, 5])}, position=1, model_version="v2")
        until_ready_says(service, "degraded", "has changed since it was written")
        load.wait_for(ANSWERS)
        note("new artefact damaged", "embedded", load, since)
        assert {answer.json["generation"] for answer in load.answers[since:]} == {before}
        world.publish({"user0": body([3, 4, 5])}, position=2, model_version="v3")
        until_ready_says(service, "ready")
        load.wait_for(20, lambda answer: b'"generation":%d' % world.generation in answer.body)


def test_the_folder_of_the_artefact_that_is_served_may_vanish(service, note):
    with under_load(service) as load:
        since = len(load.answers)
        folder = service.world.settings.artefacts_path / service.store.read_control().generation().artefact_id
        shutil.rmtree(folder)
        load.wait_for(ANSWERS)
        note("served artefact deleted", "embedded", load, since)


def test_a_control_record_that_is_deleted_stays_in_force(service, note):
    with under_load(service) as load:
        since = len(load.answers)
        environment = service.store._folder.environment()
        with environment.begin(write=True, db=service.store._folder.database(b"control")) as txn:
            assert txn.delete(b"record")
        until_ready_says(service, "degraded", "no control record any more")
        load.wait_for(ANSWERS)
        note("control record deleted", "embedded", load, since)
        assert b'"source":"personalized"' in b"".join(answer.body for answer in load.answers[since:])
