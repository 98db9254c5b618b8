from dataclasses import asdict

import dagster as dg

from assets.resources import Topshelf
from assets.steps import step
from jobs import maintenance


def upkeep_asset() -> dg.AssetsDefinition:
    @dg.asset(
        pool="spark",
        group_name="operations",
        kinds={"spark", "deltalake"},
        description="Old partitions dropped, small files joined, replaced files and old models' files removed.",
    )
    @step
    def upkeep(context: dg.AssetExecutionContext, topshelf: Topshelf) -> dg.MaterializeResult[None]:
        with topshelf.store() as store:
            control = store.read_control()
        done = maintenance.run(topshelf.lake(), topshelf.settings(), control, topshelf.now(), context.log.info)
        return dg.MaterializeResult(
            metadata={
                "megabytes freed": round(sum(each.before - each.after for each in done) / 1e6, 1),
                "megabytes on disk": round(sum(each.after for each in done) / 1e6, 1),
                "done": dg.MetadataValue.table([dg.TableRecord(asdict(each)) for each in done]),
            }
        )

    return upkeep
