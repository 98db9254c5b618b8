"""`topshelf export` leaves a folder that is whole, or none."""

from __future__ import annotations

import ast
import re
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from jobs.tables import MODELS
from models import export as exporting
from tests.cli import scored_home
from tests.cli.conftest import write

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
NAMED = {"model_name": "two_tower_ranker", "traffic_percent": 0, "metrics": [],
         **dict.fromkeys(("cut", "created_at"), scored_home.HOUR.start)}  # fmt: skip


@pytest.fixture
def models(home):
    scored_home.make(home)
    digest = sha256((home / "models" / "model" / "model.json").read_bytes()).hexdigest()
    rows = [
        {**NAMED, "model_id": "older", "version": "v1", "artifact_path": "older", "sha256": "", "status": "retired",
         "deployed_at": scored_home.HOUR.start},
        {**NAMED, "model_id": "model", "version": "v2", "artifact_path": "model", "sha256": digest,
         "status": "deployed", "deployed_at": scored_home.HOUR.start + timedelta(hours=1)},
    ]  # fmt: skip
    write(home, MODELS, rows)
    return home


@pytest.mark.parametrize("name", ["newest", "v2", "model"])
def test_the_model_that_is_meant_is_exported(topshelf, models, tmp_path, name):
    done = topshelf("export", name, "--to", str(tmp_path / "out" / "folder"))
    assert done.exit_code == 0, done.output
    files = {file.name for file in (tmp_path / "out" / "folder").iterdir()}
    assert files == {"user_tower.onnx", "ranker.onnx", "items.parquet", "export.json"}
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["folder"]
    assert "from the model model" in done.output


def test_the_page_s_example_runs(topshelf, models, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert topshelf("export", "newest", "--to", "exported").exit_code == 0
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})
    shown = ast.literal_eval(capsys.readouterr().out)
    assert len(shown) == 20
    assert not {"m0", "m1", "m2"} & set(shown), "watched"


@pytest.mark.parametrize(
    ("name", "said"),
    [("v3", "there is no model v3; there are: v2 (model), v1 (older)"), ("v1", "the files of older")],
)
def test_a_model_that_is_not_there_is_said_so(topshelf, models, tmp_path, name, said):
    done = topshelf("export", name, "--to", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert said in done.output


def test_nothing_is_left_of_networks_that_differ(topshelf, models, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "TOLERANCE", -1.0)
    done = topshelf("export", "newest", "--to", str(tmp_path / "out" / "folder"))
    assert done.exit_code == 1
    assert "user_tower.onnx gives numbers up to" in done.output
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_is_there_is_left_as_it_is(topshelf, models, tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    assert topshelf("export", "newest", "--to", str(tmp_path)).exit_code == 1
    assert (tmp_path / "kept.txt").read_text() == "mine"


def test_without_the_extra_it_says_how_to_install_it(topshelf, models, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = topshelf("export", "newest", "--to", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "-m pip install" in done.output
    assert not (tmp_path / "out").exists()
