from collections.abc import Iterator

import dagster as dg

from assets import gate_checks
from assets.metadata import column_schema, publication, publications
from assets.partitions import Partitions
from assets.progress import listening
from assets.resources import Topshelf
from assets.runs import republishing, tag
from assets.samples import contents
from assets.steps import step
from conf.hours import Hour
from jobs import log_state, manifests, publish
from jobs.gate import GateFailed
from jobs.lake import Lake
from jobs.ledger import past
from jobs.tables import PUBLISHED

DRAWN = 48
"""Publications in the curves."""


def published_asset(partitions: Partitions) -> dg.AssetsDefinition:
    @dg.asset(
        partitions_def=partitions.hourly,
        deps=["recommendations"],
        pool="publish",
        group_name="lists",
        kinds={"spark", "deltalake"},
        description=PUBLISHED.doc,
        metadata={"dagster/column_schema": column_schema(PUBLISHED)},
        check_specs=gate_checks.specs(),
    )
    @step
    def published(
        context: dg.AssetExecutionContext, topshelf: Topshelf
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        lake, settings, hour = topshelf.lake(), topshelf.settings(), Hour.parse(context.partition_key)
        scored = manifests.scored(settings, hour)
        with topshelf.store() as store, listening(context.log.info) as listener:
            try:
                watermark, republish = log_state.watermark(settings.eventlog_path, hour), republishing(context)
                result = publish.run(lake, hour, settings, store, scored, topshelf.now, listener, watermark, republish)
            except GateFailed as failed:
                yield from gate_checks.results(failed.checks)
                raise
        if result.generation is None:
            yield from gate_checks.not_judged(result.state)
        else:
            yield from gate_checks.results((*result.checks, publish.accounted(lake, result)))
        tag(context, generation=result.generation, model=scored.model_version)
        yield dg.MaterializeResult(metadata={**publication(result), **_now(lake)})

    return published


def _now(lake: Lake) -> dict[str, dg.MetadataValue | int]:
    """The table as it is, and the publications that led to it."""
    return {"last publications": publications(past(lake, DRAWN)), **contents(lake, PUBLISHED)}
