import dagster as dg
from pyspark.sql import functions as F

from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.resources import Topshelf
from assets.runs import training_day
from assets.samples import contents
from assets.steps import step
from jobs import examples as job
from jobs.tables import TRAINING_EXAMPLES


def training_examples_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.daily,
        deps=["events", "items", "users"],
        pool="spark",
        group_name="training",
        kinds={"spark", "deltalake"},
        description=TRAINING_EXAMPLES.doc,
        metadata={"dagster/column_schema": column_schema(TRAINING_EXAMPLES)},
    )
    @step
    def training_examples(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        day, cut = training_day(context, topshelf.now())
        lake = topshelf.lake()
        result = job.run(lake, day, cut, topshelf.settings())
        return dg.MaterializeResult(
            metadata={
                "positives": result.positives,
                "held out": result.holdout,
                "events before": dg.MetadataValue.timestamp(cut),
                **contents(lake, TRAINING_EXAMPLES, F.col("day") == day, result.examples),
            }
        )

    return training_examples
