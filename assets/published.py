import dagster as dg

from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.resources import REPUBLISH_TAG, Topshelf
from conf.hours import Hour
from jobs import ingest, manifests, publish
from jobs.tables import PUBLISHED


def published_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.hourly,
        deps=["recommendations"],
        pool="publish",
        group_name="lists",
        kinds={"spark", "deltalake"},
        description=PUBLISHED.doc,
        metadata={"dagster/column_schema": column_schema(PUBLISHED)},
    )
    def published(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        settings, hour = topshelf.settings(), Hour.parse(context.partition_key)
        with topshelf.store() as store:
            result = publish.run(
                topshelf.lake(),
                hour,
                settings,
                store,
                manifests.scored(settings, hour),
                topshelf.now,
                watermark=ingest.watermark(settings.eventlog_path, hour),
                republish=context.run.tags.get(REPUBLISH_TAG) == "true",
            )
        return dg.MaterializeResult(metadata=dict(vars(result)))

    return published
