from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Topshelf


def test_every_setting_has_a_value_a_meaning_and_a_source(topshelf: Topshelf, home: Path) -> None:
    found = json.loads(topshelf("config", "--json").stdout)
    assert found["tower.dim"] == {
        "value": 128, "meaning": "Numbers in a user's or item's vector", "source": "base.yaml"
    }  # fmt: skip
    assert found["home"]["value"] == str(home)
    assert [name for name, row in found.items() if not row["meaning"] or not row["source"]] == []


def test_a_section_or_one_setting_can_be_asked_for(topshelf: Topshelf) -> None:
    assert set(json.loads(topshelf("config", "lake", "--json").stdout)) == {"lake.root"}
    table = topshelf("config", "tower.epochs", "--set", "tower.epochs=3").stdout
    assert table.split()[-10:-6] == ["tower.epochs", "3", "--set", "tower.epochs"]


def test_what_is_no_setting_says_so(topshelf: Topshelf) -> None:
    result = topshelf("config", "towr")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "towr is not a setting" in result.stderr


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_secrets_are_never_shown(topshelf: Topshelf, form: list[str]) -> None:
    overrides = [
        *("--set", "serving.token_secret=hush-hush-hush-hush-hush-hush-hush"),
        *("--set", "spark.conf={spark.hadoop.fs.s3a.secret.key: hush, spark.x: seen}"),
    ]
    output = topshelf("config", *form, *overrides).output
    assert "hush" not in output
    assert "seen" in output


def test_a_mapping_names_what_set_its_entries(topshelf: Topshelf) -> None:
    found = json.loads(topshelf("config", "spark.conf", "--json", "--set", "spark.conf={a: b}").stdout)
    assert found["spark.conf"]["source"] == "--set spark.conf"
