"""Dagster's own folder, without the pipeline: who only writes or looks there need not load it."""

from __future__ import annotations

from pathlib import Path

from conf.settings import Settings

INSTANCE_FILE = "dagster.yaml"
INSTANCE = """\
# Made by topshelf; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
run_launcher:
  module: dagster_project.launcher
  class: LocalRunLauncher
run_monitoring:
  enabled: true
  poll_interval_seconds: 30
concurrency:
  pools:
    granularity: run
    default_limit: 1
"""


def prepare_instance(settings: Settings) -> Path:
    """Dagster's home folder, with an instance file that has telemetry and the first-visit dialog off."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    file = settings.dagster_home / INSTANCE_FILE
    if not file.exists():
        file.write_text(INSTANCE)
    return settings.dagster_home
