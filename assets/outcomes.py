import dagster as dg

from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.resources import Topshelf
from assets.samples import contents, of_hour
from assets.steps import step
from conf.hours import Hour
from jobs import outcomes as job
from jobs.tables import OUTCOMES


def outcomes_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.hourly,
        deps=["events", "served"],
        pool="spark",
        group_name="rollout",
        kinds={"spark", "deltalake"},
        description=OUTCOMES.doc,
        metadata={"dagster/column_schema": column_schema(OUTCOMES)},
    )
    @step
    def outcomes(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        lake, hour = topshelf.lake(), Hour.parse(context.partition_key)
        job.run(lake, hour)
        return dg.MaterializeResult(metadata=contents(lake, OUTCOMES, of_hour(hour)))

    return outcomes
