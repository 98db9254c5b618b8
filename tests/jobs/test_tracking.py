"""Trainings in a real MLflow, on SQLite."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from conf.errors import RetryableError
from conf.loading import load
from jobs.promotion import Verdict
from jobs.registry import DEPLOYED, RETIRED, VALIDATING, Model
from jobs.tracking import _client, follow, log_training
from models.evaluation import Cases
from models.modelfiles import MANIFEST
from models.promotion import Held
from models.training import TrainReport
from models.types import UserBatch

NOTHING = (np.zeros(1, np.int64), np.zeros(0, np.int32))
NOBODY = Cases(UserBatch(np.zeros((0, 1), np.int32), {}, np.zeros(0, np.int32)), NOTHING, NOTHING)
REPORT = TrainReport(
    {"lists.ndcg@20": 0.13},
    {"tower.past": {"loss": [3.0, 2.0]}},
    True,
    {"tower.past": 12.5},
    "digest",
    Held(np.zeros((0, 1), np.int32), NOBODY, np.zeros(0, np.int64)),
)


def settings_at(home, *overrides):
    return load({"TOPSHELF_HOME": str(home)}, overrides).settings


def model(folder, name, status):
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / MANIFEST).write_text('{"format": 2}')
    return Model(name, f"v-{name}", folder / name, datetime(2026, 1, 1, tzinfo=UTC), {}, "digest", status)


def test_a_training_is_a_run_and_its_model_a_version_that_follows_its_status(tmp_path):
    settings = settings_at(tmp_path)
    first, second = (model(tmp_path / "models", name, VALIDATING) for name in ("a", "b"))
    run_id = log_training(settings, first, REPORT, Verdict((), "there is no other"), {"items": 7, "users": None})
    assert log_training(settings, first, REPORT, Verdict((), "again"), {}) == run_id
    log_training(settings, second, REPORT, Verdict(("ndcg fell",), "beside v-a"), {})
    follow(settings, [model(tmp_path / "models", "a", DEPLOYED), second])
    with _client(settings) as client:
        run = client.get_run(run_id)
        assert run.data.metrics["lists.ndcg-20"] == 0.13
        assert [point.value for point in client.get_metric_history(run_id, "tower.past.loss")] == [3.0, 2.0]
        assert (run.data.params["tower.dim"], run.data.tags["delta.items"]) == ("128", "7")
        assert "delta.users" not in run.data.tags
        assert {file.path for file in client.list_artifacts(run_id)} == {MANIFEST, "judgement.json"}
        champion = client.get_model_version_by_alias("topshelf", "champion")
        assert (champion.tags["model_id"], champion.source) == ("a", str(tmp_path / "models" / "a"))
        assert client.get_model_version_by_alias("topshelf", "challenger").tags["model_id"] == "b"

    follow(settings, [model(tmp_path / "models", "a", RETIRED), model(tmp_path / "models", "b", DEPLOYED)])
    with _client(settings) as client:
        assert client.get_model_version_by_alias("topshelf", "champion").tags["model_id"] == "b"
        assert client.get_model_version(name="topshelf", version="1").aliases == []


def test_a_tracking_server_that_is_away_is_told_with_its_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    settings = settings_at(tmp_path, "tracking.uri=http://127.0.0.1:9")
    with pytest.raises(RetryableError, match=r"MLflow at tracking\.uri http://127\.0\.0\.1:9"):
        follow(settings, [model(tmp_path / "models", "a", DEPLOYED)])
