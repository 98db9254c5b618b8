import dagster as dg

from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.plots import popularity_curve
from assets.resources import Topshelf
from assets.samples import contents, of_hour
from assets.steps import step
from conf.hours import Hour
from jobs import popularity as job
from jobs.tables import POPULARITY


def popularity_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.hourly,
        deps=["item_features", "events", "users"],
        pool="spark",
        group_name="features",
        kinds={"spark", "deltalake"},
        description=POPULARITY.doc,
        metadata={"dagster/column_schema": column_schema(POPULARITY)},
    )
    @step
    def popularity(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        lake, hour = topshelf.lake(), Hour.parse(context.partition_key)
        result = job.run(lake, hour, topshelf.settings())
        return dg.MaterializeResult(
            metadata={
                "segments": result.segments,
                "popularity by rank": popularity_curve(result.global_scores),
                **contents(lake, POPULARITY, of_hour(hour), result.scopes),
            }
        )

    return popularity
