"""The command line as a whole: lazy loading, settings, errors and exit codes."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from cli.context import Context, pass_context, set_option
from cli.main import COMMANDS, main
from conf.errors import ConfigError, DataError, PermanentError, RetryableError
from tests.cli.conftest import Topshelf


def with_command(monkeypatch: pytest.MonkeyPatch, command: click.Command) -> None:
    """Make `topshelf probe` call `command`."""
    module = ModuleType("probe_module")
    module.probe = command  # type: ignore[attr-defined]  # a module made for the test
    monkeypatch.setitem(sys.modules, "probe_module", module)
    monkeypatch.setitem(COMMANDS, "probe", ("probe_module:probe", "A probe."))


@pytest.mark.parametrize(
    ("error", "code"), [(ConfigError, 2), (RetryableError, 3), (PermanentError, 1), (DataError, 1)]
)
def test_an_expected_error_is_one_line_and_an_exit_code(
    topshelf: Topshelf, monkeypatch: pytest.MonkeyPatch, error: type[Exception], code: int
) -> None:
    @click.command()
    def probe() -> None:
        raise error("the key seed is wrong: set it")

    with_command(monkeypatch, probe)
    result = topshelf("probe")
    assert (result.exit_code, result.stderr, result.stdout) == (code, "error: the key seed is wrong: set it\n", "")


def test_an_unexpected_exception_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def probe() -> None:
        raise ZeroDivisionError

    with_command(monkeypatch, probe)
    assert isinstance(CliRunner().invoke(main, ["probe"]).exception, ZeroDivisionError)


def test_settings_are_taken_before_and_after_the_command_and_the_later_wins(
    topshelf: Topshelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    @set_option
    @pass_context
    def probe(context: Context) -> None:
        click.echo(f"{context.settings.seed} {context.settings.tower.epochs} {context.sources['seed']}")
        child = context.child_environment()
        click.echo(f"{child['TOPSHELF_SEED']} {child['TOPSHELF_TOWER__EPOCHS']}")

    with_command(monkeypatch, probe)
    result = topshelf("--set", "seed=1", "--set", "tower.epochs=2", "probe", "--set", "seed=3")
    assert result.stdout.splitlines() == ["3 2 --set seed", "3 2"]


def test_an_unknown_command_is_a_usage_error(topshelf: Topshelf) -> None:
    result = topshelf("tuor")
    assert result.exit_code == 2
    assert "tuor" in result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_worth_reading(topshelf: Topshelf, name: str) -> None:
    result = topshelf(name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert len(result.stdout) > 150


def test_the_list_of_commands_loads_nothing_heavy() -> None:
    heavy = "{'pyspark', 'torch', 'dagster', 'flask', 'duckdb', 'pandas', 'pyarrow', 'pydantic'}"
    code = (
        "import sys; from cli.main import main; main(['--help'], standalone_mode=False); "
        f"sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"loaded too early: {done.stderr}"
    assert all(name in done.stdout for name in COMMANDS)
