from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Topshelf
from tests.cli.test_takedown import publish


def test_wrong_usage_is_said(topshelf: Topshelf, home: Path, tmp_path: Path) -> None:
    assert topshelf("forget").exit_code == 2
    empty = tmp_path / "nobody.txt"
    empty.write_text("\n\n")
    assert topshelf("forget", "--file", str(empty)).exit_code == 2
    assert topshelf("forget", "x" * 65).exit_code == 1


def test_who_was_never_forgotten_has_no_proof(topshelf: Topshelf, home: Path) -> None:
    publish(home)
    answer = topshelf("forget", "--check", "ann")
    assert answer.exit_code == 1
    assert "there is no proof that 'ann' was ever forgotten" in answer.stderr
