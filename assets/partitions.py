"""The hours and days that can be run: from the first hour of the data on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from conf.hours import DAY_FORMAT, KEY_FORMAT, Hour
from conf.settings import Settings

AN_HOUR_A_RUN = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)
"""A back-fill runs each hour whole, in one run, the oldest first. Without a policy Dagster orders them as it likes, and
an asset that depends on its own hour before gets runs of its own, so that an hour's lists would be compared before the
hour before is published."""
BEFORE_ANY_IMPORT = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Partitions:
    hourly: dg.HourlyPartitionsDefinition
    daily: dg.DailyPartitionsDefinition


def partitions(settings: Settings) -> Partitions:
    """Partitions from data.partitions_start to data.partitions_end (null: to the newest hour that is over)."""
    data = settings.data
    first = Hour.of(data.partitions_start or BEFORE_ANY_IMPORT)
    last = None if data.partitions_end is None else Hour.of(data.partitions_end)
    return Partitions(
        dg.HourlyPartitionsDefinition(
            start_date=first.key, end_date=None if last is None else last.end.strftime(KEY_FORMAT)
        ),
        dg.DailyPartitionsDefinition(
            start_date=first.day_key,
            end_date=None if last is None else (last.start + timedelta(days=1)).strftime(DAY_FORMAT),
            # Today can be trained on before it is over: a first run must not wait for midnight.
            end_offset=1 if last is None else 0,
        ),
    )
