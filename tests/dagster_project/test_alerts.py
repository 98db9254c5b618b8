"""What operators are told, by a real webhook, and what is tried again."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from assets.failing import retried
from assets.resources import TERMINAL_TAG, Topshelf
from conf.errors import PermanentError, RetryableError
from conf.loading import load
from dagster_project.alerts import sensors
from jobs.alerts import Alert, send
from jobs.gate import GateFailed
from stores.control import Control
from stores.generation import Generation
from stores.opening import open_store

LATE = datetime(2026, 1, 10, 8, 46, tzinfo=UTC)
"""The hour from 7 to 8 ended 46 minutes ago."""


class Hook:
    """A webhook that keeps what it is sent."""

    def __init__(self) -> None:
        self.got: list[dict[str, object]] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """A test has nobody to tell."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def settings_of(tmp_path):
    def make(*overrides):
        start = "data.partitions_start=2026-01-01T00:00:00Z"
        return load({"TOPSHELF_HOME": str(tmp_path)}, [start, *overrides]).settings

    return make


def test_without_a_webhook_nothing_is_sent(settings_of):
    assert send(settings_of(), Alert("rollback", "back to 3")) is False


def test_a_webhook_that_fails_is_an_error_that_names_the_setting(settings_of, hook):
    settings = settings_of(f"alerts.webhook={hook.url}")
    for status, kind in ((503, RetryableError), (404, PermanentError)):
        hook.status = status
        with pytest.raises(kind, match=rf"alerts\.webhook answered {status} to an alert: back to 3"):
            send(settings, Alert("rollback", "back to 3"))
    with pytest.raises(RetryableError, match=r"alerts\.webhook cannot be reached"):
        send(settings_of("alerts.webhook=http://127.0.0.1:9/"), Alert("rollback", "back to 3"))


def named(settings, name, now=LATE):
    return next(sensor for sensor in sensors(settings, lambda: now) if sensor.name == name)


def test_a_late_hour_is_told_once(settings_of, hook):
    settings = settings_of(f"alerts.webhook={hook.url}")
    with open_store(settings) as store:
        first = Control.first("a-store")
        made = Generation(1, "a", "v1", "2026-01-10T06:00Z", "2026-01-10T07:10:00Z")
        store.swap_control(None, first)
        store.swap_control(first, first.begun(1))
        store.swap_control(first.begun(1), first.begun(1).switched(made))
    with dg.instance_for_test() as instance:
        context = dg.build_sensor_context(instance=instance, sensor_name="hour_late")
        for _ in range(2):
            list(named(settings, "hour_late").evaluate_tick(context).run_requests or [])
    assert [(one["kind"], one["details"]) for one in hook.got] == [
        ("hour_late", {"hour": "2026-01-10-07:00", "live": "2026-01-10-06:00"})
    ]
    early = named(settings, "hour_late", LATE.replace(minute=44))
    with dg.instance_for_test() as instance:
        early.evaluate_tick(dg.build_sensor_context(instance=instance, sensor_name="hour_late"))
    assert len(hook.got) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [(GateFailed(3, ()), "gate_failed"), (PermanentError("the disk is full"), "run_failed")],
)
def test_a_run_that_failed_is_told_with_its_cause(settings_of, hook, error, kind):
    settings = settings_of(f"alerts.webhook={hook.url}")

    @dg.op
    def broken():
        raise error

    @dg.job
    def hourly():
        broken()

    with dg.instance_for_test() as instance:
        result = hourly.execute_in_process(instance=instance, raise_on_error=False)
        failure = result.get_run_failure_event()
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failed", dagster_instance=instance, dagster_run=result.dagster_run, dagster_event=failure
        )
        named(settings, "run_failed")(context.for_run_failure())
    assert [one["kind"] for one in hook.got] == [kind]
    assert str(error)[:30] in hook.got[0]["text"]


class Tries:
    """An asset that fails with an error as often as it is told to."""

    def __init__(self, error, times):
        self.count, self.error, self.times = 0, error, times

    def run(self, tmp_path, tags=()):
        tries = self

        @dg.asset
        @retried
        def lists(context: dg.AssetExecutionContext, topshelf: Topshelf) -> None:
            tries.count += 1
            if tries.count <= tries.times:
                raise tries.error

        overrides = ["alerts.retries=2", "alerts.retry_seconds=1"]
        with dg.instance_for_test() as instance:
            return dg.materialize(
                [lists], instance=instance, raise_on_error=False, tags=dict(tags),
                resources={"topshelf": Topshelf(overrides=overrides)},
            )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "times", "tags", "success", "tried"),
    [
        (RetryableError("busy"), 1, {}, True, 2),
        (PermanentError("wrong"), 1, {}, False, 1),
        (RetryableError("busy"), 1, {TERMINAL_TAG: "true"}, False, 1),
    ],
)
def test_only_what_may_pass_is_tried_again(tmp_path, monkeypatch, error, times, tags, success, tried):
    monkeypatch.setenv("TOPSHELF_HOME", str(tmp_path))
    tries = Tries(error, times)
    assert (tries.run(tmp_path, tags).success, tries.count) == (success, tried)
