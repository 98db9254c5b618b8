"""`topshelf jars`: the jars that Spark needs for Delta and Kafka."""

from __future__ import annotations

from pathlib import Path

import click

from cli.context import Context, pass_context, set_option


@click.command()
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take them from this folder, without a network.",
)
@set_option
@pass_context
def jars(context: Context, source: Path | None) -> None:
    """Fetch the jars that Spark needs for Delta and Kafka, and check them against conf/jars.lock.

    They come from Maven Central by the Ivy that PySpark ships. Does nothing when they are in place already.
    """
    from cli.jars import fetch, in_place, install, read_lock
    from jobs.spark import default_jars_dir

    lock = read_lock()
    set_dir = context.settings.spark.jars_dir
    target = Path(set_dir) if set_dir else default_jars_dir()
    if in_place(target, lock):
        click.echo(f"the {len(lock)} Spark jars are in place: {target}")
        return
    if source is not None:
        install(source, target, lock)
    else:
        click.echo("fetching the Spark jars (24 MB; a minute or so) …")
        fetch(target, lock, context.env)
    click.echo(f"{len(lock)} Spark jars checked and in place: {target}")
