from collections.abc import Iterator

import dagster as dg

from assets.health_checks import warned, warnings
from assets.metadata import column_schema, headline, judgement, metrics_table, orders_table
from assets.partitions import Partitions
from assets.plots import learning
from assets.resources import Topshelf
from assets.runs import training_day
from assets.samples import contents
from assets.steps import step
from assets.tracking import tracked
from jobs import promotion, train
from jobs.tables import MODELS


def models_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.daily,
        deps=["training_examples", "items"],
        pool="spark",
        group_name="training",
        kinds={"pytorch", "deltalake"},
        description="Towers, item-item model and ranker, trained on the day's examples, measured and judged.",
        metadata={"dagster/column_schema": column_schema(MODELS)},
        check_specs=warnings("models", promotion.CHECK),
    )
    @step
    def models(
        context: dg.AssetExecutionContext, topshelf: Topshelf
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        day, cut = training_day(context, topshelf.now())
        lake = topshelf.lake()
        result = train.run(lake, day, cut, topshelf.settings(), topshelf.now(), context.log.info)
        yield from warned([result.verdict.check])
        yield dg.MaterializeResult(
            metadata={
                **tracked(context, topshelf, result),
                "model": result.model.model_id,
                "version": result.model.version,
                "hold-out": metrics_table(result.report.metrics),
                "orders": orders_table(result.report.metrics),
                "learning": learning(result.report),
                **headline(result.report.metrics),
                "calibrated": result.report.calibrated,
                **judgement(result.verdict),
                **contents(lake, MODELS),
                "files": dg.MetadataValue.path(str(result.model.folder)),
            }
        )

    return models
