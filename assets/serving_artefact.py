from dataclasses import asdict

import dagster as dg

from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.resources import Topshelf
from assets.runs import republishing
from assets.samples import contents
from assets.steps import step
from conf.hours import Hour
from jobs import artefact as job
from jobs.manifests import built_already
from jobs.registry import Registry
from jobs.tables import ITEM_EMBEDDINGS


def serving_artefact_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.hourly,
        deps=["models", "popularity", "item_features", "items"],
        pool="spark",
        group_name="lists",
        kinds={"pytorch", "faiss"},
        description="Catalogue, item vectors, similar items and fallback lists, as one immutable folder.",
        metadata={"dagster/column_schema": column_schema(ITEM_EMBEDDINGS)},
    )
    @step
    def serving_artefact(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        lake, settings = topshelf.lake(), topshelf.settings()
        hour, built = Hour.parse(context.partition_key), built_already(settings, Hour.parse(context.partition_key))
        with topshelf.store() as store:
            control = store.read_control()
        model, challenger = Registry(lake, settings).of_hour(control, hour, built, republishing(context))
        result = job.run(lake, hour, settings, model, challenger, control)
        return dg.MaterializeResult(
            metadata={
                "artefact": result.artefact_id,
                "model": model.model_id,
                "items": result.items,
                **contents(lake, ITEM_EMBEDDINGS),
                "files": dg.MetadataValue.path(str(settings.artefacts_path / result.artefact_id)),
                **({} if result.challenger is None else {"challenger": asdict(result.challenger)}),
            }
        )

    return serving_artefact
