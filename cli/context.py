"""What every command is given: the settings in force, the rules, a console, the clock and, when asked for, the lake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from conf.loading import Loaded
    from conf.rules import Rules
    from conf.settings import Settings
    from jobs.lake import Lake

SETTING_PREFIX = "TOPSHELF_"


class Context:
    """Built once by `topshelf`; commands take it with `@pass_context`.

    Everything in it is made when first asked for, so that a command which needs no Spark starts none.
    """

    def __init__(self, env: Mapping[str, str], overrides: Iterable[str] = (), verbose: bool = False) -> None:
        self.env = dict(env)
        self.overrides: tuple[str, ...] = tuple(overrides)
        self.verbose = verbose

    def override(self, more: Iterable[str]) -> None:
        """Add `key=value` settings given after the sub-command. They win over those before it."""
        self.overrides += tuple(more)
        self.__dict__.pop("_loaded", None)

    @cached_property
    def _loaded(self) -> Loaded:
        from conf.loading import load

        return load(self.env, self.overrides)

    @property
    def settings(self) -> Settings:
        """Raises ConfigError when a setting is wrong."""
        return self._loaded.settings

    @property
    def sources(self) -> dict[str, str]:
        """Dotted key → the file, variable or flag that set it."""
        return self._loaded.sources

    @cached_property
    def rules(self) -> Rules:
        """Raises ConfigError when a rule is wrong."""
        from conf.rules import RULES_FILE, load_rules

        return load_rules(self.settings.rules_path or RULES_FILE)

    @cached_property
    def console(self) -> Console:
        """For people: tables and progress, on standard output."""
        from rich.console import Console

        return Console(highlight=False)

    @cached_property
    def _lake(self) -> Lake:
        from jobs.alone import Share
        from jobs.lake import Lake
        from jobs.spark import spark_session

        share = Share(self.settings.home)
        return Lake(spark_session(self.settings), self.settings.lake_root, share)

    def lake(self) -> Lake:
        """The Delta tables. The first call starts Spark (some seconds)."""
        return self._lake

    def now(self) -> datetime:
        return datetime.now(UTC)

    def child_environment(self) -> dict[str, str]:
        """Environment in which another process of ours reads the same settings as this one."""
        env = {**self.env, "TOPSHELF_HOME": str(self.settings.home)}
        for text in self.overrides:
            key, _, value = text.partition("=")
            env[SETTING_PREFIX + key.strip().upper().replace(".", "__")] = value
        return env


pass_context = click.make_pass_decorator(Context)


def _add_overrides(context: click.Context, _: click.Parameter, values: tuple[str, ...]) -> None:
    if values:
        context.ensure_object(Context).override(values)


def set_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--set` after a sub-command, with the meaning it has before it."""
    return click.option(
        "--set",
        "more_settings",
        metavar="KEY=VALUE",
        multiple=True,
        expose_value=False,
        callback=_add_overrides,
        help="A setting for this call only, such as tower.epochs=2. Repeatable.",
    )(command)
