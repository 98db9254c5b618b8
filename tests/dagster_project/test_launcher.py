"""Runs whose process is gone are known as such, and no others."""

import os
import subprocess
import sys

import dagster as dg
import pytest
from dagster._core.launcher.base import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from conf.loading import load
from dagster_project.instance import prepare_instance
from dagster_project.launcher import PROCESS_TAG, LocalRunLauncher, process_tag


@pytest.fixture
def instance(tmp_path):
    home = prepare_instance(load({"TOPSHELF_HOME": str(tmp_path)}).settings)
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made


def status(instance, tags):
    run = instance.add_run(dg.DagsterRun("hourly", tags=tags))
    return instance.run_launcher.check_run_worker_health(run).status


def test_the_instance_watches_its_runs(instance):
    assert isinstance(instance.run_launcher, LocalRunLauncher)
    assert instance.run_monitoring_enabled


def test_a_run_is_failed_only_when_its_process_is_known_to_be_gone(instance):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = process_tag().rpartition(":")[0]
    assert status(instance, {PROCESS_TAG: process_tag()}) == WorkerStatus.RUNNING
    assert status(instance, {PROCESS_TAG: f"{host}:{gone.pid}"}) == WorkerStatus.FAILED
    assert status(instance, {PROCESS_TAG: f"elsewhere:{os.getpid()}"}) == WorkerStatus.RUNNING
    assert status(instance, {}) == WorkerStatus.RUNNING
    unreachable = '{"host": "localhost", "socket": "/nowhere"}'
    assert status(instance, {GRPC_INFO_TAG: unreachable}) == WorkerStatus.FAILED
