"""Layers of settings: which wins, where a value came from, and whether an error says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conf.errors import ConfigError
from conf.loading import Loaded, load


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def load_in(home: Path, *overrides: str, **env: str) -> Loaded:
    return load({"TOPSHELF_HOME": str(home), **env}, overrides)


def test_defaults_come_from_base(home: Path) -> None:
    loaded = load_in(home)
    assert loaded.settings.tower.dim == 128
    assert loaded.sources["tower.dim"] == "base.yaml"
    assert loaded.settings.home == home
    assert loaded.sources["home"] == "TOPSHELF_HOME"


def test_each_layer_wins_over_those_before_it(home: Path) -> None:
    (home / "dataset.yaml").write_text("tower: {epochs: 2, batch: 2}\nseed: 2")
    (home / "settings.yaml").write_text("tower: {epochs: 3, batch: 3}")
    loaded = load_in(home, "tower.epochs=5", TOPSHELF_TOWER__EPOCHS="4", TOPSHELF_TOWER__PATIENCE="4")
    assert (loaded.settings.seed, loaded.settings.tower.batch) == (2, 3)
    assert (loaded.settings.tower.patience, loaded.settings.tower.epochs) == (4, 5)
    assert loaded.sources["seed"] == "dataset.yaml (written by the import)"
    assert loaded.sources["tower.batch"] == str(home / "settings.yaml")
    assert loaded.sources["tower.patience"] == "TOPSHELF_TOWER__PATIENCE"
    assert loaded.sources["tower.epochs"] == "--set tower.epochs"


def test_historical_data_brings_its_own_defaults_below_those_of_the_user(home: Path) -> None:
    (home / "dataset.yaml").write_text("data: {profile: historical}")
    (home / "settings.yaml").write_text("features: {trending_days: 9}")
    loaded = load_in(home)
    assert loaded.settings.training.window_days is None
    assert loaded.sources["training.window_days"] == "historical.yaml"
    assert loaded.settings.features.trending_days == 9


def test_the_cluster_profile_is_laid_over_base(home: Path) -> None:
    loaded = load_in(home, TOPSHELF_PROFILE="cluster")
    assert loaded.settings.spark.shuffle_partitions == 2000
    assert loaded.sources["spark.shuffle_partitions"] == "cluster.yaml"


def test_paths_are_relative_to_the_home_unless_they_are_addresses(home: Path) -> None:
    settings = load_in(home).settings
    assert settings.lake_root == str(home / "lake")
    assert settings.under_home("/elsewhere") == "/elsewhere"
    assert load_in(home, "lake.root=s3a://bucket/lake").settings.lake_root == "s3a://bucket/lake"


def test_settings_cannot_be_changed(home: Path) -> None:
    settings = load_in(home).settings
    with pytest.raises(ValueError, match="frozen"):
        settings.seed = 1


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("tower.epochs=0", "tower.epochs: .*greater than 0.* from --set tower.epochs.*--set tower.epochs=…"),
        ("tower.epocs=3", "tower.epocs is not a setting .*--set tower.epocs.*`topshelf config` lists them all"),
        ("tower.epochs", "write it as --set section.key=value"),
        ("retrieval.total=100", r"retrieval.total \(100\) must be at least retrieval.list_size"),
        ("tower.epochs=[", "the value of tower.epochs is not valid YAML"),
        ("retrieval.list_size=151", "retrieval.list_size: .*less than or equal to 150"),
    ],
)
def test_a_wrong_setting_names_the_key_and_the_fix(home: Path, override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_in(home, override)


def test_a_wrong_value_names_the_layer_it_came_from(home: Path) -> None:
    (home / "settings.yaml").write_text("serving: {port: 99999}")
    with pytest.raises(ConfigError, match=re.escape(str(home / "settings.yaml"))):
        load_in(home)


def test_a_wrong_secret_is_not_repeated(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"serving\.token_secret") as caught:
        load_in(home, "serving.token_secret=[hush]")
    assert "hush" not in str(caught.value)


def test_an_unknown_profile_names_those_there_are(home: Path) -> None:
    with pytest.raises(ConfigError, match="local, cluster"):
        load_in(home, TOPSHELF_PROFILE="moon")


@pytest.mark.parametrize("text", ["- a\n- b", "a: [", "just words", "seed: 2026-99-99"])
def test_a_broken_settings_file_is_named(home: Path, text: str) -> None:
    (home / "settings.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"settings\.yaml"):
        load_in(home)


@pytest.mark.parametrize("name", ["settings.yaml", "dataset.yaml"])
@pytest.mark.parametrize("text", ["data: 5", "data: [profile]", "tower: deep"])
def test_a_section_that_is_no_mapping_names_file_and_fix(home: Path, name: str, text: str) -> None:
    (home / name).write_text(text)
    section = text.partition(":")[0]
    with pytest.raises(ConfigError, match=rf"{section} is a section .*{name}.*write {section}: {{name: value}}"):
        load_in(home)


def test_a_flag_for_a_whole_section_is_refused_by_name(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"data is a section .*from --set data"):
        load_in(home, "data=5")


def test_a_section_without_lines_is_no_section(home: Path) -> None:
    (home / "settings.yaml").write_text("data:\ntower:\n  # epochs: 3\n")
    assert load_in(home).settings == load_in(home.parent / "other").settings.model_copy(update={"home": home})


@pytest.mark.parametrize("name", ["settings.yaml", "dataset.yaml"])
def test_a_settings_file_that_cannot_be_read_is_named(home: Path, name: str) -> None:
    (home / name).write_bytes("seed: 5 # größer".encode("latin-1"))
    with pytest.raises(ConfigError, match=rf"{name} is not UTF-8 .*save it as UTF-8"):
        load_in(home)
    (home / name).unlink()
    (home / name).mkdir()
    with pytest.raises(ConfigError, match=rf"{name} cannot be read: Is a directory; make it a readable file"):
        load_in(home)
