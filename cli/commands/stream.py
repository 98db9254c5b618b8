"""`topshelf stream`: what the service logs to Kafka, moved into the lake as it comes."""

from __future__ import annotations

import json
import logging
import signal
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cli.context import Context, pass_context, set_option
from conf.errors import ConfigError

if TYPE_CHECKING:
    from jobs.stream import Moved


@click.command()
@click.option("--once", is_flag=True, help="Move what the topic has now, then end.")
@click.option("--json", "as_json", is_flag=True, help="Print each micro-batch as a JSON object on a line.")
@set_option
@pass_context
def stream(context: Context, once: bool, as_json: bool) -> None:
    """Move events from Kafka into the table events as they come, in the foreground, until Ctrl-C or SIGTERM.

    What is no event goes to the table rejected_events, and the shelf of what trends follows what comes in. Either
    signal ends the micro-batch under way first; a kill at any moment loses nothing and repeats nothing. Hours,
    `topshelf ingest` and this may run at once: each takes over where another has left off. It needs
    eventlog.kind=kafka, and runs on the machine of the pipeline.

    \b
    topshelf stream
    topshelf stream --once --json
    """
    from datetime import UTC, datetime

    from cli.output import readable
    from jobs.lake import Lake
    from jobs.spark import spark_session
    from jobs.stream import run
    from jobs.trending import Trend
    from stores.eventlog.kafka_reader import KafkaReader
    from stores.opening import open_store

    settings = context.settings
    if settings.eventlog.kind != "kafka":
        raise ConfigError(
            f"eventlog.kind is {settings.eventlog.kind}, and the stream reads Kafka: `topshelf ingest`, or the sensor "
            "new_events, moves the events of this log"
        )

    def say(moved: Moved) -> None:
        if as_json:
            click.echo(json.dumps(asdict(moved)))
        else:
            until = readable(datetime.fromtimestamp(moved.watermark, UTC)) if moved.watermark else "none yet"
            click.echo(
                f"{moved.read:,} events, {moved.new:,} new, {moved.rejected:,} rejected, {moved.dropped:,} gone before "
                f"they were read, {moved.erased:,} of forgotten users; {moved.seconds:.1f} s; watermark {until}"
            )

    # It prints what Spark's thread raised; that is raised here, too.
    logging.getLogger("py4j.clientserver").setLevel(logging.CRITICAL)
    # The context's lake would be shared all along, and erasures would never come to their turn.
    stop, lake = threading.Event(), Lake(spark_session(settings), settings.lake_root)
    for number in (signal.SIGINT, signal.SIGTERM):  # after Spark has set its own
        signal.signal(number, lambda *_: stop.set())
    click.echo(f"moving the events of {settings.kafka.topic} to {settings.lake_root}", err=as_json)
    with open_store(settings) as store:
        trend = Trend(store, settings, context.now, lambda text: click.echo(text, err=as_json))
        run(lake, KafkaReader(settings.kafka), settings, context.now, say, stop, once, trend)
