"""What comes in between the hours, as jobs: events from the log, and a folder that others write files to."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import dagster as dg

from assets.resources import Topshelf
from assets.samples import contents
from jobs import barrier
from jobs import ingest as ingest_job
from jobs.imports.run import run as import_data
from jobs.tables import ITEMS, USERS
from stores.opening import open_eventlog_reader


@dg.op(pool="spark", description="Moves what the service logged into the table events.")
def move_events(context: dg.OpExecutionContext, topshelf: Topshelf) -> None:
    settings, lake = topshelf.settings(), topshelf.lake()
    with closing(open_eventlog_reader(settings)) as reader:
        barred = barrier.load(lake, settings)
        result = ingest_job.run(lake, reader, settings.eventlog_path, topshelf.now, barred)
    context.log.info(f"{result.read:,} events in the log, {result.new:,} of them new")
    context.log_event(dg.AssetObservation("events", metadata=asdict(result)))


@dg.op(pool="spark", description="Reads the folder data.watch into the lake, as `topshelf import` does.")
def import_folder(context: dg.OpExecutionContext, topshelf: Topshelf) -> None:
    settings = topshelf.settings()
    if settings.data.watch is None:
        raise dg.Failure("data.watch names no folder to import", allow_retries=False)
    folder = Path(settings.under_home(settings.data.watch))
    report = import_data(
        topshelf.lake(), folder, settings, topshelf.now(), profile=settings.data.profile, progress=context.log.info
    )
    for table in (ITEMS, USERS):
        context.log_event(
            dg.AssetMaterialization(
                table.name, metadata={"import": report.import_id, **contents(topshelf.lake(), table)}
            )
        )


@dg.job(description="Events of the log, between the hours.", executor_def=dg.in_process_executor)
def ingest() -> None:
    move_events()


@dg.job(description="The folder data.watch, read into the lake.", executor_def=dg.in_process_executor)
def take_in() -> None:
    import_folder()
