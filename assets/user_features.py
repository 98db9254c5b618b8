import dagster as dg

from assets.failing import retried
from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.resources import Topshelf
from conf.hours import Hour
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
    )
    @retried
    def user_features(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        result = job.run(topshelf.lake(), Hour.parse(context.partition_key), topshelf.settings())
        return dg.MaterializeResult(
            metadata={"dagster/row_count": result.users, "users with watches": result.with_watches}
        )

    return user_features
