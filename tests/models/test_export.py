"""Networks as ONNX give what they give in PyTorch; what does not is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from torch import nn

from conf.errors import DataError
from models.export import ITEMS, MANIFEST, RANKER, USER_TOWER, export
from models.modelfiles import Model, encode_items
from models.onnx_models import user_tower
from models.tower import RATES, TowerShape, TwoTower
from tests.cli import scored_home

N, DIM = 9, 6


def session(content: bytes | Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def scattered(module: nn.Module) -> nn.Module:
    """The module with weights none of which is 0 or 1, so that each has a say."""
    torch.manual_seed(3)
    for parameter in module.requires_grad_(False).parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.3)
    return module.eval()


def model() -> Model:
    plain = scored_home.model()
    scattered(plain.tower)
    scattered(plain.ranker)
    return plain


@pytest.fixture(scope="module", params=list(RATES))
def tower(request):
    found = TwoTower(TowerShape(N, 0, (2, 0, 3, 1), DIM, (8, 5), 0.2, request.param))
    inputs = torch.randn(N, DIM, generator=torch.manual_seed(4))
    return scattered(found), inputs, session(user_tower(found, inputs).SerializeToString())


@tries(max_examples=40, deadline=None)
@given(
    history=st.lists(st.integers(-1, N - 1), min_size=1, max_size=12),
    profile=st.tuples(st.integers(0, 2), st.just(0), st.integers(0, 3), st.integers(0, 1)),
    watches=st.integers(0, 10**9),
)
def test_the_user_tower_is_the_same_for_every_history(tower, history, profile, watches):
    network, inputs, onnx = tower
    given = {"history": np.array([history]), "profile": np.array([profile]), "watches": np.array([watches])}
    wanted = network.users(inputs, *map(torch.from_numpy, given.values())).numpy()
    assert np.abs(onnx.run(None, given)[0] - wanted).max() < 1e-5


def test_items_that_the_file_lacks_are_no_watches(tower):
    _, _, onnx = tower
    rest = {"profile": np.zeros((1, 4), np.int64), "watches": np.array([2])}
    newer, without = (onnx.run(None, {"history": np.array([row]), **rest})[0] for row in ([3, N, 5], [3, -1, 5]))
    assert newer.tolist() == without.tolist()


def test_an_export_says_what_it_is(tmp_path):
    made, films = model(), scored_home.films()
    seen = export(made, "model", films, tmp_path, seed=17)
    assert set(seen) == {USER_TOWER, RANKER}
    assert max(seen.values()) < 1e-5
    said = json.loads((tmp_path / MANIFEST).read_text())
    assert (said["model"], said["history"], said["order"], said["genres"]) == (
        "model",
        10,
        "two_tower",
        ["Space", "Love"],
    )
    assert said["files"][USER_TOWER]["inputs"]["history"] == {"type": "tensor(int64)", "shape": ["B", "H"]}
    assert said["files"][RANKER]["outputs"]["logit"] == {"type": "tensor(float)", "shape": ["B", "C"]}
    assert set(said["sha256"]) == {USER_TOWER, RANKER, ITEMS}


def test_a_user_and_the_item_table_give_the_rankers_logit(tmp_path):
    """As somebody would who has the folder alone."""
    made = model()
    export(made, "model", scored_home.films(), tmp_path, seed=17)
    items = pq.read_table(tmp_path / ITEMS)
    assert items["item_id"].to_pylist() == [f"m{number}" for number in range(scored_home.FILMS)]
    side = {name: np.stack(items[name].to_numpy())[None] for name in ("vector", "genres", "years", "context")}
    user = {"profile": np.zeros((1, 4), np.int64), "watches": np.array([3])}
    (vector,) = session(tmp_path / USER_TOWER).run(None, {"history": np.array([[0, 1, 2]]), **user})
    given = {
        "user_vector": vector,
        "user_genres": np.array([[1, 0]], np.float32),
        **user,
        **{f"item_{name}": values for name, values in side.items()},
        **{f"item_{name}": items[name].to_numpy()[None] for name in ("popularity", "popularity_known")},
        **{name: np.array([1]) for name in ("page", "daypart", "weekday")},
    }
    deep, logit = session(tmp_path / RANKER).run(["deep", "logit"], given)
    assert deep.shape == logit.shape == (1, scored_home.FILMS)
    context = made.context()
    row = context["context_page"][1] + context["context_daypart"][0, 1] + context["context_weekday"][1]
    assert np.allclose((logit - deep)[0], encode_items(made, scored_home.films()).context @ row, atol=1e-5)


def test_a_network_that_the_file_does_not_repeat_is_refused(tmp_path):
    class Bent(TwoTower):
        def head(self, pooled, profile, watches):
            return super().head(pooled, profile, watches) * 1.01

    plain = model()
    bent = Bent(plain.tower.shape)
    bent.load_state_dict(plain.tower.state_dict())
    with pytest.raises(DataError, match=r"user_tower\.onnx gives numbers up to .* away from the model v3"):
        export(replace(plain, tower=bent.eval().requires_grad_(False)), "v3", scored_home.films(), tmp_path, seed=17)
    assert not (tmp_path / MANIFEST).exists()
