from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from assets.health_checks import warned, warnings
from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.resources import Topshelf
from assets.samples import contents
from assets.steps import step
from conf.hours import Hour
from jobs import health, manifests
from jobs import user_features as job
from jobs.tables import USER_FEATURES


def user_features_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.hourly,
        deps=["events", "items", "users"],
        pool="spark",
        group_name="features",
        kinds={"spark", "deltalake"},
        description=USER_FEATURES.doc,
        metadata={"dagster/column_schema": column_schema(USER_FEATURES)},
        check_specs=warnings("user_features", {health.DRIFT_CHECK: health.DRIFT}),
    )
    @step
    def user_features(
        context: dg.AssetExecutionContext, topshelf: Topshelf
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        lake, settings, hour = topshelf.lake(), topshelf.settings(), Hour.parse(context.partition_key)
        result = job.run(lake, hour, settings)
        before = manifests.version_at(settings, Hour(hour.start - timedelta(days=1)), USER_FEATURES.name)
        yield from warned([health.of_features(lake, hour, before, settings.health)])
        yield dg.MaterializeResult(
            metadata={
                "users with watches": result.with_watches,
                "worked out again": result.again,
                **contents(lake, USER_FEATURES, count=result.users),
            },
        )

    return user_features
