"""A Topshelf whose time is what a benchmark says it is: the real service under gunicorn, and the schedules' own jobs.

Time is a number in a file of the home folder, which every worker and the pipeline read as their clock. Nothing else of
the product is different: requests are HTTP, hours and days are run by the jobs that the schedules start.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from assets.resources import Topshelf
from bench.clock import APP, CLOCK_FILE, Clock
from bench.gunicorns import gunicorn
from conf.hours import Hour
from conf.loading import load
from conf.rules import Rules
from conf.settings import Settings
from dagster_project.build import DAILY, HOURLY, build
from dagster_project.instance import prepare_instance
from jobs import ingest
from jobs.imports.run import run as import_data
from jobs.lake import Lake
from serving.auth import make_token
from serving.secrets import token_secret
from sim.client import HttpApi
from stores.opening import open_eventlog_reader

_CONF = {
    # Many small queries over little data: compiling and replanning them costs more than running them as they are.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.databricks.delta.stats.collect": "false",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.driver.defaultJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
SPARK = ("spark.driver_memory=2g", "spark.shuffle_partitions=2", f"spark.conf={json.dumps(_CONF)}")
_TOKEN_HOURS = 24 * 365


class SetTime(Topshelf):
    """What assets are given, with the settings and the time of a home folder, whatever the environment says."""

    home: str

    def settings(self) -> Settings:
        return load({"TOPSHELF_HOME": self.home}, self.overrides).settings

    def now(self) -> datetime:
        return datetime.fromtimestamp(Clock(Path(self.home) / CLOCK_FILE)(), UTC)


class Timeline:
    """One home folder and the time in it.

    overrides: settings, as `--set` takes them.
    """

    def __init__(self, home: Path, rules: Rules, overrides: tuple[str, ...] = ()) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.clock = Clock(home / CLOCK_FILE)
        self.rules = rules
        self._given = SetTime(home=str(home), overrides=[*SPARK, *overrides])

    @property
    def settings(self) -> Settings:
        return self._given.settings()

    def lake(self) -> Lake:
        return self._given.lake()

    def set_ms(self, time: int) -> None:
        self.clock.set(time / 1000)

    def take_in(self, folder: Path, now: datetime) -> None:
        """Import a record that ends at `now`."""
        self.clock.set(now.timestamp())
        import_data(self.lake(), folder, self.settings, now, profile="live")

    def drain(self, until: datetime) -> None:
        """Ingest in the last second before `until`, as `topshelf ingest` every few minutes would."""
        self.clock.set(until.timestamp() - 1)
        settings = self.settings
        with closing(open_eventlog_reader(settings)) as reader:
            ingest.run(self.lake(), reader, settings.eventlog_path, self._given.now)

    def run(self, until: datetime, train: bool) -> None:
        """What the schedules run for the hour that ends at `until`; first, with `train`, the day of that hour.

        The run takes no time: who comes next finds its lists.
        """
        hour, settings = Hour.of(until - timedelta(hours=1)), self.settings
        self.drain(until)
        self.clock.set(until.timestamp())
        prepare_instance(settings)
        definitions = build(settings)
        with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
            for name, key in ((DAILY, hour.day_key), (HOURLY, hour.key)):
                if name == HOURLY or train:
                    definitions.resolve_job_def(name).execute_in_process(
                        run_config={"loggers": {"console": {"config": {}}}},
                        partition_key=key,
                        instance=instance,
                        resources={"topshelf": self._given},
                    )

    @contextmanager
    def served(self) -> Iterator[HttpApi]:
        """The service, for the time of the block, and a way for every user to it."""
        settings = self.settings
        secret, now = token_secret(settings), datetime.fromtimestamp(self.clock(), UTC)
        tokens: dict[str, str] = {}

        def token(user_id: str) -> str:
            if user_id not in tokens:
                tokens[user_id] = make_token(user_id, secret, now, _TOKEN_HOURS)
            return tokens[user_id]

        with gunicorn(settings, self.rules, APP) as running, HttpApi(*running.address, token) as api:
            yield api
