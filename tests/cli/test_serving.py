"""`topshelf token` and `topshelf recs`: what they refuse, and with which exit code."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import jwt
import pytest

from conf.loading import load
from stores.artefact import write_artefact
from stores.control import Control
from stores.generation import Generation
from stores.opening import open_store
from tests.cli.conftest import Topshelf
from tests.serving.conftest import content


@pytest.fixture
def artefact(home: Path) -> Path:
    """The artefact of a home in which one generation without lists was published."""
    settings = load({"TOPSHELF_HOME": str(home)}).settings
    number = write_artefact(settings.artefacts_path, content())
    first = Control.first("test-store")
    generation = Generation(1, number, "v1", "2026-11-23T12:00Z", "2026-11-23T13:30:00+00:00")
    with open_store(settings) as store:
        store.swap_control(None, first)
        store.swap_control(first, replace(first, version=first.version + 1, attempts=1, current=1, live=(generation,)))
    return settings.artefacts_path / number


@pytest.mark.parametrize("hours", ["1e12", "inf", "nan"])
def test_a_token_for_a_time_without_end_is_a_usage_error(topshelf: Topshelf, hours: str) -> None:
    result = topshelf("token", "ann", "--hours", hours)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "at most 876000 hours" in result.stderr


def test_a_token_says_what_its_options_and_the_settings_say(topshelf: Topshelf) -> None:
    settings = ("--set", "serving.token_audience=shop", "--set", "serving.token_issuer=desk")
    result = topshelf(*settings, "token", "ann", "--maturity-limit", "2", "--region", "US", "--tier", "basic")
    claims = jwt.decode(result.stdout.strip(), options={"verify_signature": False})
    claims.pop("iat"), claims.pop("exp")
    assert claims == {
        "sub": "ann",
        "scope": "user",
        "aud": "shop",
        "iss": "desk",
        "maturity_limit": 2,
        "region": "US",
        "tier": "basic",
    }


def test_a_token_with_a_region_that_the_service_would_refuse_is_a_usage_error(topshelf: Topshelf) -> None:
    result = topshelf("token", "ann", "--region", "a long region")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "region is text of 1 to 6 bytes" in result.stderr


def test_a_service_is_not_started_on_keys_that_cannot_be_read(topshelf: Topshelf) -> None:
    result = topshelf("--set", "serving.jwks_file=missing.json", "serve")
    assert result.exit_code == 2
    assert "missing.json cannot be read" in result.stderr


@pytest.mark.parametrize("command", ["token", "recs"])
@pytest.mark.parametrize("user", ["", "x" * 65])
def test_an_id_that_no_user_can_have_is_a_usage_error(topshelf: Topshelf, command: str, user: str) -> None:
    result = topshelf(command, user)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "a user id has 1 to 64 bytes" in result.stderr


@pytest.mark.usefixtures("artefact")
def test_a_user_without_a_list_gets_the_popular_one(topshelf: Topshelf) -> None:
    result = topshelf("recs", "stranger")
    assert result.exit_code == 0
    assert "stranger has no list in the store" in result.stdout


def test_an_artefact_that_is_damaged_or_gone_is_not_healed_by_waiting(topshelf: Topshelf, artefact: Path) -> None:
    (artefact / "active.npy").write_bytes(b"broken")
    damaged = topshelf("recs", "ann")
    shutil.rmtree(artefact)
    gone = topshelf("recs", "ann")
    for result in (damaged, gone):
        assert result.exit_code == 1
        assert "`topshelf run --republish` writes it anew" in result.stderr


def test_before_the_first_publication_the_next_command_is_named(topshelf: Topshelf) -> None:
    result = topshelf("recs", "ann")
    assert result.exit_code == 3
    assert "run `topshelf run`" in result.stderr


def test_a_store_that_is_away_may_come_back(topshelf: Topshelf, home: Path) -> None:
    home.mkdir()
    (home / "store").write_text("in the way")
    assert topshelf("recs", "ann").exit_code == 3


def test_a_demo_world_that_cannot_be_written_names_the_folder(topshelf: Topshelf, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "in" / "demo"
    result = topshelf("demo-world", str(out), "--users", "5", "--items", "10", "--days", "1")
    assert result.exit_code == 1
    assert f"error: the demo world cannot be written to {out}: Not a directory" in result.stderr
