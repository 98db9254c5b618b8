"""What assets are given: settings, the lake, the store, the clock. Nothing is opened before an asset runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import dagster as dg
from pydantic import Field

from conf.loading import load
from conf.settings import Settings
from jobs.alone import Share
from jobs.lake import Lake
from jobs.spark import spark_session
from stores.base import Store
from stores.opening import open_store

HOUR_TAG = "topshelf/hour"
"""Run tag: the hour for which a training is wanted; it reads nothing later."""
FORCE_TAG = "topshelf/force"
TERMINAL_TAG = "topshelf/terminal"
"""Run tag: a person waits for it."""
REPUBLISH_TAG = "topshelf/republish"


@lru_cache
def sharing(home: Path) -> Share:
    """For the rest of the process, which is a run's: its steps belong together."""
    return Share(home)


class Topshelf(dg.ConfigurableResource[None]):
    """The way from an asset to everything a job takes as an argument."""

    overrides: list[str] = Field(default_factory=list)

    def settings(self) -> Settings:
        """The settings in force, with this run's overrides."""
        return load(os.environ, self.overrides).settings

    def lake(self) -> Lake:
        """The Delta tables; the first call of a process starts its one Spark session."""
        settings = self.settings()
        return Lake(spark_session(settings), settings.lake_root, sharing(settings.home))

    @contextmanager
    def store(self) -> Iterator[Store]:
        with open_store(self.settings()) as store:
            yield store

    def now(self) -> datetime:
        return datetime.now(UTC)
