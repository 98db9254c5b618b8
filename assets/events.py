from collections.abc import Iterator
from contextlib import closing

import dagster as dg

from assets.health_checks import warned, warnings
from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.resources import Topshelf
from assets.samples import contents
from assets.steps import step
from conf.hours import Hour
from jobs import barrier, health, ingest
from jobs.tables import EVENTS
from stores.opening import open_eventlog_reader


def events_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.hourly,
        pool="spark",
        group_name="data",
        kinds={"spark", "deltalake"},
        description=EVENTS.doc,
        metadata={"dagster/column_schema": column_schema(EVENTS)},
        check_specs=warnings("events", health.EVENT_CHECKS),
    )
    @step
    def events(
        context: dg.AssetExecutionContext, topshelf: Topshelf
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        settings, lake = topshelf.settings(), topshelf.lake()
        with closing(open_eventlog_reader(settings)) as reader:
            result = ingest.run(lake, reader, settings.eventlog_path, topshelf.now, barrier.load(lake, settings))
        hour = Hour.parse(context.partition_key)
        yield from warned(health.of_events(lake, hour, settings.health))
        yield dg.MaterializeResult(
            metadata={
                **contents(lake, EVENTS, ingest.arrived(hour)),
                "read from the log": result.read,
                "new": result.new,
                "rejected": result.rejected,
                "dropped by the log": result.dropped,
                "of users who were forgotten": result.erased,
                "watermark": dg.MetadataValue.timestamp(float(result.watermark)),
            },
        )

    return events
