"""The `topshelf` command. Each sub-command is a thin file in cli/commands, imported when it is called."""

from __future__ import annotations

import os
from importlib import import_module

import click

from cli.context import Context
from conf.errors import ConfigError, RetryableError, TopshelfError

EXIT_PERMANENT, EXIT_USAGE, EXIT_RETRYABLE = 1, 2, 3

COMMANDS = {
    "tour": ("cli.commands.tour:tour", "The whole way once: data, one hour, service, recommendations."),
    "demo-world": ("cli.commands.importing:demo_world", "Make a demo data set for trying things out."),
    "import": ("cli.commands.importing:import_", "Read a folder of your data into the lake."),
    "run": ("cli.commands.pipeline:run", "Run one hour: features, models, lists, publication."),
    "ingest": ("cli.commands.ingest:ingest", "Move what the service logged into the lake."),
    "stream": ("cli.commands.stream:stream", "Move what the service logs to Kafka into the lake as it comes."),
    "serve": ("cli.commands.serving:serve", "Start the HTTP service."),
    "token": ("cli.commands.serving:token", "Print a bearer token for a user."),
    "recs": ("cli.commands.serving:recs", "Print a user's recommendations."),
    "why": ("cli.commands.why:why", "Say why an item is on a user's page, or is not."),
    "inspect": ("cli.commands.inspect:inspect", "Open the operators' page: users, their lists, and why."),
    "export": ("cli.commands.export:export", "Write a model's networks as ONNX, for others to run."),
    "sql": ("cli.commands.sql:sql", "Ask the tables a question in SQL."),
    "generations": ("cli.commands.generations:generations", "Show every publication and how it stands."),
    "rollback": ("cli.commands.generations:rollback", "Send readers back to an earlier generation."),
    "takedown": ("cli.commands.takedown:takedown", "Take items out of every answer, at once."),
    "forget": ("cli.commands.forget:forget", "Forget people, in every place, with proof."),
    "rollout": ("cli.commands.rollout:rollout", "See and drive how a new model comes to users."),
    "lift": ("cli.commands.rollout:lift", "Tell how much more users do with their lists."),
    "rules": ("cli.commands.rules:rules", "Check rules, and see what a change of them would do."),
    "upkeep": ("cli.commands.upkeep:upkeep", "Make room: old partitions, replaced files, old models."),
    "ui": ("cli.commands.ui:ui", "See how things stand, and the pipeline in the Dagster UI."),
    "config": ("cli.commands.config:config", "Show the settings in force and where each comes from."),
    "store": ("cli.commands.store:store", "Make and check the key-value store of the lists."),
    "services": ("cli.commands.services:services", "Run servers on this machine, to try a store or the event log out."),
    "jars": ("cli.commands.jars:jars", "Fetch the jars that Spark needs for Delta and Kafka."),
    "docs": ("cli.commands.docs:docs", "Write the reference pages that are made from the code."),
}
"""Name → where the command is and its line in `topshelf --help`, in the order a newcomer needs them."""


def exit_code(error: TopshelfError) -> int:
    if isinstance(error, ConfigError):
        return EXIT_USAGE
    return EXIT_RETRYABLE if isinstance(error, RetryableError) else EXIT_PERMANENT


class LazyGroup(click.Group):
    """Imports a sub-command only when it is called, for Spark and torch take seconds to import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TopshelfError as error:
            click.echo(f"error: {error}", err=True)
            if ctx.params.get("verbose"):
                raise
            ctx.exit(exit_code(error))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A setting for this call only. Repeatable."
)
@click.option("--verbose", is_flag=True, help="Show the traceback of an expected error, too.")
@click.version_option(package_name="topshelf", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context, overrides: tuple[str, ...], verbose: bool) -> None:
    """The best items for every active user, worked out every hour and served by user id.

    State lives in the folder TOPSHELF_HOME (default: ./var). Settings come from conf/, from settings.yaml in
    that folder, from TOPSHELF_SECTION__KEY variables and from --set; `topshelf config` shows them all.

    Exit codes: 0 done; 1 the input or the data must change; 2 wrong usage or setting; 3 try again later.
    """
    ctx.obj = Context(os.environ, overrides, verbose)


if __name__ == "__main__":
    main(prog_name="topshelf")
