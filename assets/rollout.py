from dataclasses import asdict

import dagster as dg

from assets.failing import alert
from assets.metadata import column_schema
from assets.partitions import Partitions
from assets.resources import Topshelf
from assets.samples import contents
from assets.steps import step
from assets.tracking import followed
from conf.hours import Hour
from jobs import rollout as job
from jobs.alerts import Alert
from jobs.tables import ROLLOUTS


def rollout_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.hourly,
        deps=["outcomes", "published", "models"],
        pool="publish",
        group_name="rollout",
        kinds={"spark", "deltalake"},
        description="Brings a new model to users step by step, or takes it back, by what users do with its lists.",
        metadata={"dagster/column_schema": column_schema(ROLLOUTS)},
    )
    @step
    def rollouts(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        lake, hour = topshelf.lake(), Hour.parse(context.partition_key)
        with topshelf.store() as store:
            result = job.run(lake, hour, topshelf.settings(), store, topshelf.now())
        context.log.info(result.said)
        if result.changed:
            followed(context, topshelf)
        if result.alarming:
            alert(context, topshelf.settings(), Alert("rollout", result.said, {"hour": hour.key}))
        shown = {} if result.rollout is None else {"rollout": asdict(result.rollout)}
        evidence = {} if result.decision is None else {"evidence": result.decision.evidence}
        return dg.MaterializeResult(metadata={"done": result.said, **shown, **evidence, **contents(lake, ROLLOUTS)})

    return rollouts
