import dagster as dg

from assets.metadata import column_schema, ranked_scores
from assets.partitions import Partitions
from assets.resources import Topshelf
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
        result = job.run(topshelf.lake(), Hour.parse(context.partition_key), topshelf.settings())
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": result.scopes,
                "segments": result.segments,
                "popularity by rank": ranked_scores("popularity", result.global_scores),
            }
        )

    return popularity
