import dagster as dg

from assets.failing import retried
from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.resources import Topshelf
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
    @retried
    def served(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        lake, settings = topshelf.lake(), topshelf.settings()
        barred = barrier.load(lake, settings)
        result = job.run(lake, Hour.parse(context.partition_key), settings.shown_path, barred)
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": result.in_hour,
                "dropped by the service": result.dropped,
                "read from the log": result.read,
                "new": result.new,
                "damaged segments set aside": list(result.damaged),
            }
        )

    return served
