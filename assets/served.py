import dagster as dg

from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.resources import Topshelf
from assets.samples import contents, of_hour
from assets.steps import step
from conf.hours import Hour
from jobs import barrier
from jobs import served as job
from jobs.tables import SERVED


def served_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.hourly,
        pool="spark",
        group_name="data",
        kinds={"spark", "deltalake"},
        description=SERVED.doc,
        metadata={"dagster/column_schema": column_schema(SERVED)},
    )
    @step
    def served(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        lake, settings, hour = topshelf.lake(), topshelf.settings(), Hour.parse(context.partition_key)
        result = job.run(lake, hour, settings.shown_path, barrier.load(lake, settings))
        return dg.MaterializeResult(
            metadata={
                "dropped by the service": result.dropped,
                "read from the log": result.read,
                "new": result.new,
                "damaged segments set aside": list(result.damaged),
                **contents(lake, SERVED, of_hour(hour), result.in_hour),
            }
        )

    return served
