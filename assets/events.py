import dagster as dg

from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.resources import Topshelf
from conf.hours import Hour
from jobs import ingest
from jobs.tables import EVENTS


def events_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.hourly,
        pool="spark",
        group_name="data",
        kinds={"spark", "deltalake"},
        description=EVENTS.doc,
        metadata={"dagster/column_schema": column_schema(EVENTS)},
    )
    def events(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        log = topshelf.settings().eventlog_path
        result = ingest.run(topshelf.lake(), Hour.parse(context.partition_key), log, topshelf.now())
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": result.in_hour,
                "read from the log": result.read,
                "new": result.new,
            }
        )

    return events
