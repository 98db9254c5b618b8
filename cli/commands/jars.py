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

    Where lake.root is an s3a:// address, those for object storage too, against conf/s3a.lock. They come from Maven
    Central by the Ivy that PySpark ships. Does nothing when they are in place already.
    """
    from cli.ivy import fetch, in_place, install, read_lock
    from cli.jars import JARS, S3A
    from jobs.spark import jar_folders

    for jars, megabytes, target in zip((JARS, S3A), (24, 14), jar_folders(context.settings), strict=False):
        lock = read_lock(jars.lock_file)
        if in_place(target, lock):
            click.echo(f"the {len(lock)} {jars.title} are in place: {target}")
            continue
        if source is not None:
            install(jars, source, target, lock)
        else:
            click.echo(f"fetching the {jars.title} ({megabytes} MB; a minute or so) …")
            fetch(jars, target, lock, context.env)
        click.echo(f"{len(lock)} {jars.title} checked and in place: {target}")
