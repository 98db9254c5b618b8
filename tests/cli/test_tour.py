"""The parts of a tour that can be seen without running an hour: where state goes, whom it shows, how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.exceptions import Exit

from cli.commands.tour import _in_own_home
from cli.context import Context
from cli.showcase import Viewer, two_viewers
from cli.steps import Steps, claim
from conf.errors import DataError
from jobs.tables import IMPORTS
from tests.cli.conftest import HOUR, write


def context_in(home: Path) -> Context:
    return Context({"TOPSHELF_HOME": str(home)})


def viewer(user_id: str, **tastes: float) -> Viewer:
    return Viewer(user_id, 12, tastes, [])


def test_two_viewers_differ_in_their_favourite_genre() -> None:
    ann, bob, cat = viewer("ann", drama=0.9, war=0.1), viewer("bob", drama=0.5), viewer("cat", war=0.7, drama=0.2)
    assert two_viewers([ann, bob, cat]) == [ann, cat]
    assert two_viewers([ann, bob]) == [ann, bob]
    assert two_viewers([ann]) == [ann]


def test_nobody_to_show_is_an_error() -> None:
    with pytest.raises(DataError, match="nobody with a history"):
        two_viewers([])


def test_data_of_ones_own_gets_a_home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "films"
    assert _in_own_home(Context({}), None).settings.home == tmp_path / "var"
    assert _in_own_home(Context({}), data).settings.home == tmp_path / "var" / "homes" / "films"
    assert _in_own_home(context_in(tmp_path / "mine"), data).settings.home == tmp_path / "mine"


def test_a_home_is_for_one_data_set(tmp_path: Path) -> None:
    context = context_in(tmp_path / "home")
    claim(context, tmp_path / "films")
    claim(context, tmp_path / "films")
    with pytest.raises(DataError, match=r"already holds the data of .*films.*set TOPSHELF_HOME"):
        claim(context, tmp_path / "songs")


def test_a_home_filled_by_hand_is_not_mixed_with_a_demo_world(tmp_path: Path) -> None:
    row = {"import_id": "i", "source": "films", "layout": "topshelf", "counts": [], "imported_at": HOUR}
    write(tmp_path, IMPORTS, [row])
    with pytest.raises(DataError, match="an earlier `topshelf import`"):
        claim(context_in(tmp_path), tmp_path / "demo")


def test_a_step_is_a_command_of_its_own_and_is_timed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    steps = Steps(context_in(tmp_path / "home"))
    steps.call("settings", "config", "home", "--json")
    steps.call("demo world", "demo-world", "demo", unless=True)
    steps.print_times(1.25)
    shown = capfd.readouterr().out
    assert "$ topshelf config home --json" in shown
    printed = json.loads(shown[shown.index("{") : shown.rindex("}") + 1])
    assert printed["home"]["value"] == str(tmp_path / "home")
    assert "there already" in shown
    assert shown.split()[-2:] == ["all", "1.2"]


def test_a_step_that_fails_ends_the_tour_with_its_exit_code(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as ended:
        Steps(context_in(tmp_path)).call("settings", "config", "nothing.like.it")
    assert ended.value.exit_code == 2
    assert "the tour ends here: `topshelf config nothing.like.it` failed" in capfd.readouterr().err
