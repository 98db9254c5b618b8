"""Whether the newest hour that is due is there, as a check of each hourly asset.

Dagster's freshness policies look at the newest materialization of whatever partition, so a back-fill of last week would
make a pipeline that stands look fresh. These ask for the hour itself, and `published` for what readers have.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.resources import Topshelf
from conf.hours import Hour
from conf.settings import Settings
from dagster_project.alerts import live_hour

CHECK = "newest_hour"
LOOK_SECONDS = 300
PUBLISHED = "published"
Clock = Callable[[], datetime]


def due(settings: Settings, now: datetime) -> Hour:
    """The newest hour that is to be there by now."""
    return Hour.of(now - timedelta(hours=1, minutes=settings.alerts.late_minutes))


def judged(instance: dg.DagsterInstance, settings: Settings, asset: str, hour: Hour) -> tuple[bool, str]:
    """Whether the asset has `hour`, and in words what it has."""
    if asset == PUBLISHED:
        live, problem = live_hour(settings)
        return live is not None and live >= hour, problem or f"readers have {live}, due is {hour}"
    found = instance.get_latest_storage_id_by_partition(
        dg.AssetKey(asset), dg.DagsterEventType.ASSET_MATERIALIZATION, {hour.key}
    )
    return bool(found), f"{hour} is {'there' if found else 'missing'}"


def checks(assets: Sequence[str]) -> list[dg.AssetChecksDefinition]:
    """One a hourly asset, to be run by hand; the sensor below reports them without a run."""
    return [_check(asset) for asset in assets]


def _check(asset: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name=CHECK, description="Whether the newest hour that is due is there")
    def newest_hour(context: dg.AssetCheckExecutionContext, topshelf: Topshelf) -> dg.AssetCheckResult:
        settings = topshelf.settings()
        passed, text = judged(context.instance, settings, asset, due(settings, topshelf.now()))
        return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN, description=text)

    return newest_hour


def sensor(settings: Settings, assets: Sequence[str], clock: Clock = lambda: datetime.now(UTC)) -> dg.SensorDefinition:
    """Reports the checks when an hour falls due and when one of them changes."""

    @dg.sensor(
        name="newest_hours",
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of each hourly asset whether the newest hour that is due is there.",
    )
    def newest_hours(context: dg.SensorEvaluationContext) -> Iterator[dg.SensorResult | dg.SkipReason]:
        if settings.data.partitions_start is None:
            yield dg.SkipReason("there is no data yet")
            return
        hour = due(settings, clock())
        found = {asset: judged(context.instance, settings, asset, hour) for asset in assets}
        state = f"{hour} {[passed for passed, _ in found.values()]}"
        if state == context.cursor:
            yield dg.SkipReason(f"nothing has changed since {hour} fell due")
            return
        events = [
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(asset),
                check_name=CHECK,
                passed=passed,
                metadata={},
                severity=dg.AssetCheckSeverity.WARN,
                description=text,
            )
            for asset, (passed, text) in found.items()
        ]
        yield dg.SensorResult(asset_events=events, cursor=state)

    return newest_hours
