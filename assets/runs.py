"""What a run's partition and tags mean."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from assets.resources import HOUR_TAG, REPUBLISH_TAG
from conf.hours import DAY_FORMAT, Hour


def training_day(context: dg.AssetExecutionContext, now: datetime) -> tuple[date, datetime]:
    """The day of a training and its cut: the end of the day, or of the hour that the run was asked to train for.

    On a day that is not over the cut is the start of the hour that is under way: what is held out must be a whole day.
    """
    start = datetime.strptime(context.partition_key, DAY_FORMAT).replace(tzinfo=UTC)
    hour = context.run.tags.get(HOUR_TAG)
    end = min(start + timedelta(days=1), Hour.of(now).start)
    return start.date(), end if hour is None else min(end, Hour.parse(hour).end)


def republishing(context: dg.AssetExecutionContext) -> bool:
    """Whether the run is to publish an hour that is not later than the live one."""
    return context.run.tags.get(REPUBLISH_TAG) == "true"


def tag(context: dg.AssetExecutionContext, **found: object) -> None:
    """Have the run found by what it made: tags topshelf/NAME, but for what is None."""
    tags = {f"topshelf/{name}": str(value) for name, value in found.items() if value is not None}
    context.instance.add_run_tags(context.run.run_id, tags)
