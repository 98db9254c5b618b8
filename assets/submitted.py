"""The other end of `submitting`: an asset's body in the process that spark-submit started for it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
from dagster_pipes import PipesContext

from assets.failing import Body
from assets.reporting import FAILURE, TAGS, failure, report
from assets.resources import Topshelf, sharing
from conf.settings import Settings
from jobs.lake import Lake
from jobs.spark import spark_session

LOOK_SECONDS = 1.0


class Sent(Topshelf):
    """What a body is given, made from the settings that were sent."""

    sent: str
    app: str

    def settings(self) -> Settings:
        return Settings.model_validate_json(self.sent)

    def lake(self) -> Lake:
        settings = self.settings()
        return Lake(spark_session(settings, self.app), settings.lake_root, sharing(settings.home))


@dataclass(frozen=True)
class StepContext:
    """As much of Dagster's context as bodies ask for; what they change of the run goes back to it."""

    pipes: PipesContext

    @property
    def partition_key(self) -> str:
        return self.pipes.partition_key

    @property
    def log(self) -> Any:
        return self.pipes.log

    @property
    def run(self) -> Any:
        return SimpleNamespace(run_id=self.pipes.run_id, tags=self.pipes.extras["tags"])

    @property
    def instance(self) -> Any:
        return self

    def add_run_tags(self, _: str, tags: Mapping[str, str]) -> None:
        self.pipes.report_custom_message({TAGS: dict(tags)})


def given(pipes: PipesContext) -> Sent:
    """What the process that started this one sent."""
    hour = f" {pipes.partition_key}" if pipes.is_partition_step else ""
    return Sent(sent=pipes.extras["settings"], app=f"topshelf {pipes.extras['asset']}{hour}")


def run(pipes: PipesContext, body: Body, topshelf: Topshelf) -> None:
    """Run a body, reporting each of its results when it is there, and how it failed.

    Raises:
        Exception: as the body does.
    """
    try:
        made = body(cast(dg.AssetExecutionContext, StepContext(pipes)), topshelf)
        for result in made if isinstance(made, Iterator) else (made,):
            report(pipes, result)
    except Exception as error:
        pipes.report_custom_message({FAILURE: failure(error)})
        raise


def end_with(process: int) -> None:
    """From now on, end this process at once when `process`, or our parent, is gone.

    Else a step whose run was killed would go on, and work beside the one that takes its place.
    """
    threading.Thread(target=_watch, args=(process, os.getppid()), daemon=True).start()


def _watch(process: int, parent: int) -> None:
    while os.getppid() == parent:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            break
        time.sleep(LOOK_SECONDS)
    os._exit(1)
