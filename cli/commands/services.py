"""`topshelf services`: servers on this machine, for trying a store or the event log out."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import click

from cli.context import Context, pass_context, set_option
from cli.services.programs import PROGRAMS

SPARK = "spark"
KINDS, FETCHED = click.Choice([*PROGRAMS, SPARK]), click.Choice(list(PROGRAMS))


@click.group()
def services() -> None:
    """Run servers on this machine, to try a store or the event log out, or to run the tests.

    dynamodb is DynamoDB Local, scylla is Cassandra, which speaks the same CQL, kafka is Kafka, spark is a Spark
    standalone cluster: a master and two workers. They run from jars, with Java alone, at the addresses of the
    settings (dynamodb.endpoint; scylla.hosts and scylla.port; kafka.brokers; spark.master), and ask nobody for a
    password. DynamoDB Local listens on all of the machine's addresses, the others on 127.0.0.1 only.

    \b
    topshelf services up dynamodb
    TOPSHELF_STORE=dynamodb make run
    topshelf services down
    """


@services.command()
@click.argument("names", nargs=-1, type=KINDS, metavar="[dynamodb] [scylla] [kafka] [spark]")
@set_option
@pass_context
def up(context: Context, names: tuple[str, ...]) -> None:
    """Start servers and make their tables, or their topic. Default: the one that store.kind names.

    They go on in the background until `topshelf services down`. Data and log are in services/NAME in the home
    folder, and stay. What is up already stays up.
    """
    from cli.services import local

    if SPARK in names:
        _spark_up(context)
        names = tuple(name for name in names if name != SPARK)
        if not names:
            return
    for program in local.chosen(context.settings, names):
        local.loopback_port(context.settings, program.kind)
        if not local.provided(program):
            click.echo(f"fetching the {program.jars.title} ({program.megabytes} MB; a minute or two) …")
            local.provide(program, context.env)
        running, before = local.up(context.settings, program, context.env)
        found = local.status(context.settings, program, context.env)
        click.echo(
            f"{program.title} {'was up already' if before else 'is up'}: {found.address}, process {running.pid}, "
            f"{'topic' if program.kind == 'kafka' else 'tables'} made, data in {found.folder}"
        )
        if program.kind == "scylla":
            click.echo("Cassandra stands in for Scylla here: it speaks the same CQL")
        if program.kind == "kafka":
            click.echo("next: export TOPSHELF_EVENTLOG__KIND=kafka, then topshelf serve, and topshelf ingest")
        else:
            click.echo(f"next: TOPSHELF_STORE={program.kind} make run")


def _spark_up(context: Context) -> None:
    from cli.services import local_spark

    running, before = local_spark.up(context.settings, context.env)
    found = local_spark.status(context.settings, context.env)
    page = local_spark.cluster(context.settings, context.env).page()
    click.echo(
        f"{found.title} {'was up already' if before else 'is up'}: {found.address}, process {running.pid}, "
        f"its page {page}, logs in {found.folder}"
    )
    click.echo(f"next: export TOPSHELF_SPARK__MASTER={found.address} TOPSHELF_SPARK__LAUNCH=submit, then topshelf run")


@services.command()
@click.argument("names", nargs=-1, type=KINDS, metavar="[dynamodb] [scylla] [kafka] [spark]")
@set_option
@pass_context
def down(context: Context, names: tuple[str, ...]) -> None:
    """Stop the servers that `up` started. Default: all of this home folder. Their data stay."""
    from cli.services import local, local_spark

    for name in dict.fromkeys(names or [*PROGRAMS, SPARK]):
        if name == SPARK:
            title, stopped = local_spark.TITLE, local_spark.down(context.settings, context.env)
        else:
            title = PROGRAMS[name].title
            stopped = local.down(context.settings, PROGRAMS[name], context.env)
        click.echo(f"{title} {'stopped' if stopped else 'was not up'}")


@services.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array: one object a server.")
@set_option
@pass_context
def status(context: Context, as_json: bool) -> None:
    """Show which servers are up, and where.

    \b
    up         it answers
    silent     it runs, but does not answer (Spark: or not all of its workers do)
    down       it does not run
    taken      something that `up` did not start listens at its address
    elsewhere  the settings name a server that is not on this machine
    """
    from cli.output import table, wide
    from cli.services import local, local_spark

    states = [local.status(context.settings, program, context.env) for program in PROGRAMS.values()]
    found = [asdict(state) for state in [*states, local_spark.status(context.settings, context.env)]]
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        wide(context.console).print(table(list(found[0]), [tuple(row.values()) for row in found]))


@services.command()
@click.argument("names", nargs=-1, type=FETCHED, metavar="[dynamodb] [scylla] [kafka]")
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take them from this folder, without a network.",
)
@pass_context
def fetch(context: Context, names: tuple[str, ...], source: Path | None) -> None:
    """Fetch the servers' jars and check them. Default: all servers'. Spark's come with PySpark.

    They come from Maven Central by the Ivy that PySpark ships, and are checked against conf/services/*.lock. Does
    nothing when they are in place already.
    """
    from cli.services import local

    programs = [PROGRAMS[name] for name in dict.fromkeys(names or PROGRAMS)]
    missing = [program for program in programs if not local.provided(program)]
    for program in programs:
        if program not in missing:
            click.echo(f"the {len(program.lock)} {program.jars.title} are in place: {program.folder}")
        elif source is None:
            click.echo(f"fetching the {program.jars.title} ({program.megabytes} MB; a minute or two) …")
    # Most of the time goes into asking for one module's description after the other.
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda program: local.provide(program, context.env, source), missing))
    for program in missing:
        click.echo(f"{len(program.lock)} {program.jars.title} checked and in place: {program.folder}")
