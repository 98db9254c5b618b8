"""`topshelf ingest`: what the service logged, moved into the lake now."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from cli.context import Context, pass_context, set_option


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the counts as a JSON object.")
@set_option
@pass_context
def ingest(context: Context, as_json: bool) -> None:
    """Move what the service logged into the table events, each event once.

    Every hour of the pipeline begins with it; run it more often to have events arrive in the hour they were logged.
    The next hour's lists know all that was logged before the watermark, and sessions may forget it then.

    \b
    topshelf ingest
    topshelf ingest --json
    """
    from contextlib import closing
    from datetime import UTC, datetime

    from cli.output import readable
    from jobs.barrier import load
    from jobs.ingest import run
    from stores.opening import open_eventlog_reader

    settings = context.settings
    with closing(open_eventlog_reader(settings)) as reader:
        lake = context.lake()
        result = run(lake, reader, settings.eventlog_path, context.now, load(lake, settings))
    if as_json:
        click.echo(json.dumps({"log": settings.eventlog.kind, **asdict(result)}))
        return
    where = f"topic {settings.kafka.topic}" if settings.eventlog.kind == "kafka" else str(settings.eventlog_path)
    click.echo(f"{result.read:,} events in the log ({where}) since the last time, {result.new:,} of them new")
    if result.erased:
        click.echo(f"{result.erased:,} records not taken: their users were forgotten")
    if result.rejected:
        click.echo(f"{result.rejected:,} records are no events: the table rejected_events has them, and why")
    if result.dropped:
        click.echo(f"{result.dropped:,} records had gone from the log before they were read")
    click.echo(f"watermark: {readable(datetime.fromtimestamp(result.watermark, UTC))}")
