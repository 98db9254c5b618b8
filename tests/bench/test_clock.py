"""The service with the clock of a benchmark, over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from bench import catalogue
from bench.clock import APP, CLOCK_FILE, Clock
from bench.gunicorns import gunicorn
from conf.loading import load
from conf.rules import load_rules
from serving.auth import make_token
from serving.secrets import token_secret
from sim.client import HttpApi
from stores.eventlog.base import LOGGED_AT
from stores.opening import open_eventlog_reader, open_store

LONG_AGO = datetime(2020, 2, 3, 20, tzinfo=UTC)


def test_a_clock_is_one_for_all_who_open_it(tmp_path):
    mine, theirs = Clock(tmp_path / "clock"), Clock(tmp_path / "clock")
    assert theirs() == 0
    mine.set(1234.5)
    assert theirs() == 1234.5


def test_the_service_lives_in_the_time_that_it_is_told(tmp_path):
    settings = load({"TOPSHELF_HOME": str(tmp_path)}, ["serving.workers=1"]).settings
    artefact_id = catalogue.write(settings.artefacts_path, 200, seed=1)
    with open_store(settings) as store:
        store.create()
        catalogue.publish(store, artefact_id, 5, 200, seed=1)
    clock, user = Clock(tmp_path / CLOCK_FILE), catalogue.user_id(3)
    clock.set(LONG_AGO.timestamp())
    token = make_token(user, token_secret(settings), LONG_AGO, hours=1)
    with gunicorn(settings, load_rules(), APP) as running, HttpApi(*running.address, lambda _: token) as api:
        page = api.home(user)
        assert len(page.item_ids) == len(set(page.item_ids)) == 20
        watch = {"event_type": "watch", "item_id": page.item_ids[0], "timestamp": LONG_AGO.isoformat()}
        api.tell(user, [watch])
        assert page.item_ids[0] not in api.home(user).item_ids
        with pytest.raises(RuntimeError, match="in the future"):
            api.tell(user, [{**watch, "timestamp": (LONG_AGO + timedelta(hours=1)).isoformat()}])
        clock.set((LONG_AGO + timedelta(hours=2)).timestamp())
        with pytest.raises(RuntimeError, match="got 401"):
            api.home(user)
    (batch,) = open_eventlog_reader(settings).read({})
    assert [json.loads(record.value or b"")[LOGGED_AT] for record in batch.records] == [LONG_AGO.timestamp()]
