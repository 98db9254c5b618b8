from dataclasses import asdict

import dagster as dg

from assets.failing import alert
from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.plots import score_histogram
from assets.resources import Topshelf
from assets.runs import republishing
from assets.samples import contents, of_hour
from assets.steps import step
from conf.hours import Hour
from jobs import barrier, histograms, manifests, publish, score
from jobs.alerts import Alert
from jobs.lake import Lake
from jobs.manifests import Scored
from jobs.registry import Registry
from jobs.tables import RECOMMENDATIONS


def recommendations_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.hourly,
        deps=["user_features", "serving_artefact", "models"],
        pool="spark",
        group_name="lists",
        kinds={"spark", "pytorch", "deltalake"},
        description=RECOMMENDATIONS.doc,
        metadata={"dagster/column_schema": column_schema(RECOMMENDATIONS)},
    )
    @step
    def recommendations(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        lake, settings, hour = topshelf.lake(), topshelf.settings(), Hour.parse(context.partition_key)
        republish, built = republishing(context), manifests.built(settings, hour)
        with topshelf.store() as store:
            control = publish.control_of(store, barrier.key_of(settings))
            model, challenger = Registry(lake, settings).of_hour(control, hour, built, republish)
            result = score.run(lake, hour, settings, model, built, control, topshelf.now(), challenger, republish)
        if result.problem:
            said = (
                f"{result.simpler:,} of {result.scored:,} lists of {hour} are made without the ranker: {result.problem}"
            )
            alert(context, settings, Alert("ranker_replaced", said, {"hour": hour.key, "model": result.model_id}))
        return dg.MaterializeResult(
            metadata={
                "users scored": result.scored,
                "unchanged": result.unchanged,
                "model": result.model_id,
                **_now(lake, hour, result),
                **({"back-fill": result.backfill} if result.backfill else {}),
                **({"made without the ranker": result.simpler, "because": result.problem} if result.problem else {}),
                **({} if result.challenger is None else {"challenger": asdict(result.challenger)}),
            }
        )

    return recommendations


def _now(lake: Lake, hour: Hour, made: Scored) -> dict[str, dg.MetadataValue | int | str]:
    """Whose lists of the hour were made, and the lists as they are."""
    scores = score_histogram(*histograms.scores(lake, hour))
    return {"whose": made.whom, "scores": scores, **contents(lake, RECOMMENDATIONS, of_hour(hour), made.changed)}
