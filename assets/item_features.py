import dagster as dg

from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.resources import Topshelf
from assets.samples import contents
from assets.steps import step
from conf.hours import Hour
from jobs import item_features as job
from jobs.tables import ITEM_FEATURES


def item_features_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.hourly,
        deps=["events", "items"],
        pool="spark",
        group_name="features",
        kinds={"spark", "deltalake"},
        description=ITEM_FEATURES.doc,
        metadata={"dagster/column_schema": column_schema(ITEM_FEATURES)},
    )
    @step
    def item_features(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        lake = topshelf.lake()
        result = job.run(lake, Hour.parse(context.partition_key), topshelf.settings())
        return dg.MaterializeResult(
            metadata={"cold items": result.cold, **contents(lake, ITEM_FEATURES, count=result.items)}
        )

    return item_features
